import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { putContract } from "./contract/put.contract.ts";
import { listContract, readContract } from "./contract/read.contract.ts";
import {
  assertAbsent,
  assertRejects,
  names,
  type Opened,
  readAll,
  signal,
  type StoreUnderTest,
} from "./contract/support.fixture.ts";
import { unfinishedPutContract } from "./contract/unfinished-put.contract.ts";

/** The contract of store.ts, as a suite that every store has to pass. */
export function storeContract(kind: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${kind} keeps the contract of a store`, () => {
    let under: StoreUnderTest | undefined;
    const opened: Opened = () => {
      assert.ok(under !== undefined, "the store is opened before the tests");
      return under;
    };
    before(async () => {
      under = await open();
    });
    after(async () => {
      await under?.[Symbol.asyncDispose]();
    });

    putContract(opened);
    unfinishedPutContract(opened);
    readContract(opened);
    listContract(opened);
    removeContract(opened);
    probeContract(opened);
    nameContract(opened);
  });
}

function removeContract(opened: Opened): void {
  it("remove deletes an object, and does nothing where there is none", async () => {
    const { store } = opened();
    await store.put("gone/a", [Buffer.from("x")], { signal });
    await store.put("gone/b", [Buffer.from("x")], { signal });
    await store.remove("gone/a", { signal });
    await assertAbsent(store, "gone/a", "gone/a");
    await store.remove("gone/a", { signal });
    await store.remove("never/was/here", { signal });
    assert.deepEqual(await names(store, "gone/"), ["gone/b"]);
    await store.put("gone/a", [Buffer.from("again")], { signal });
    assert.equal(String(await readAll(store, "gone/a")), "again");
  });
}

function probeContract(opened: Opened): void {
  it("probe finds the store usable, and a trial write leaves nothing behind", async () => {
    const { store, unfinished } = opened();
    const present = await names(store, "");
    assert.equal(typeof (await store.probe({ signal, write: false })).objectLock, "boolean");
    assert.equal((await store.probe({ signal, write: true })).conditionalWrites, true);
    assert.deepEqual(await names(store, ""), present);
    assert.deepEqual(await unfinished(), []);
  });
}

const invalidNames = [
  "",
  "/a",
  "a/",
  "a//b",
  "../a",
  "a/../b",
  "a/..",
  ".",
  "a/./b",
  "a b",
  "a\\b",
  "a%2e",
  "ä",
  "a\0",
  "a~b",
  "x".repeat(201),
  `${"x/".repeat(400)}x`,
];

function nameContract(opened: Opened): void {
  it("every call refuses names that could lead outside of the store", async () => {
    const { store } = opened();
    for (const object of invalidNames) {
      await assertRejects("InvalidConfiguration", store.put(object, [Buffer.from("x")], { signal }));
      await assertRejects("InvalidConfiguration", readAll(store, object));
      await assertRejects("InvalidConfiguration", store.head(object, { signal }));
      await assertRejects("InvalidConfiguration", store.remove(object, { signal }));
    }
    for (const prefix of ["/", "../", "a//", "ä"]) {
      await assertRejects("InvalidConfiguration", names(store, prefix));
      await assertRejects("InvalidConfiguration", store.sweep(prefix, { signal, before: new Date(0) }));
    }
  });
}
