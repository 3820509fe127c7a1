import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, it } from "node:test";
import type { ByteRange, ObjectInfo } from "../store.ts";
import {
  assertRejects,
  assertSameBytes,
  eachOf,
  names,
  type Opened,
  readAll,
  signal,
} from "./support.fixture.ts";

export function readContract(opened: Opened): void {
  describe("get", () => {
    it("of an object that does not exist fails with NotFound", async () => {
      await assertRejects("NotFound", readAll(opened().store, "none/a"));
    });

    it("ends with Aborted when its signal fires in the middle", async () => {
      const { store, partSize } = opened();
      await store.put("stop/a", [randomBytes(2 * partSize)], { signal });
      const stop = new AbortController();
      const reading = (async () => {
        for await (const _ of store.get("stop/a", { signal: stop.signal })) stop.abort();
      })();
      await assertRejects("Aborted", reading);
    });

    rangeContract(opened);

    it("may be left early", async () => {
      const { store, partSize } = opened();
      await store.put("early/a", [randomBytes(2 * partSize)], { signal });
      for await (const chunk of store.get("early/a", { signal })) {
        assert.ok(chunk.length > 0);
        break;
      }
    });
  });

  it("head of an object that does not exist is undefined, also in a folder that does not exist", async () => {
    const { store } = opened();
    await store.put("folder/here", [Buffer.from("x")], { signal });
    assert.equal(await store.head("folder/gone", { signal }), undefined);
    assert.equal(await store.head("nowhere/at/all", { signal }), undefined);
    assert.equal(await store.head("folder", { signal }), undefined);
  });
}

function rangeContract(opened: Opened): void {
  const ranged = async (name: string, range: ByteRange) =>
    Buffer.concat(await Array.fromAsync(opened().store.get(name, { signal, range })));

  it("of a range gives these bytes, within a part, across parts, to the end and none", async () => {
    const { store, partSize } = opened();
    const bytes = randomBytes(2 * partSize + 1_234);
    await store.put("range/a", [bytes], { signal });
    const size = bytes.length;
    for (const [offset, length] of [
      [0, 1],
      [0, size],
      [7, 5_000],
      [partSize - 3, 6],
      [partSize, partSize],
      [size - 1, 1],
      [partSize, 0],
      [size, 0],
    ] as const) {
      assertSameBytes(await ranged("range/a", { offset, length }), bytes.subarray(offset, offset + length));
    }
    for (const offset of [0, 1, partSize + 5, size - 1, size])
      assertSameBytes(await ranged("range/a", { offset }), bytes.subarray(offset));
  });

  it("of a range that the object does not have in full fails with VerificationFailed", async () => {
    const { store } = opened();
    await store.put("range/short", [Buffer.from("0123456789")], { signal });
    for (const range of [
      { offset: 0, length: 11 },
      { offset: 9, length: 2 },
      { offset: 10, length: 1 },
      { offset: 11 },
      { offset: 11, length: 0 },
    ])
      await assertRejects("VerificationFailed", ranged("range/short", range));
  });

  it("of a range of an object that does not exist fails with NotFound", async () => {
    for (const range of [{ offset: 0 }, { offset: 5, length: 5 }, { offset: 0, length: 0 }])
      await assertRejects("NotFound", ranged("none/a", range));
  });
}

export function listContract(opened: Opened): void {
  describe("list", () => {
    const shuffled = ["a.b", "a/b", "a-b", "a0", "A", "a=b", "a/-", "a_b", ".x/y", "a/c/d", "ab"];
    before(async () => {
      const { store } = opened();
      for (const object of shuffled) await store.put(`order/${object}`, [Buffer.from(object)], { signal });
    });

    it("gives whole names in ascending order, with their sizes", async () => {
      const objects = await Array.fromAsync(opened().store.list("order/", { signal }));
      const expected = [...shuffled]
        .sort()
        .map((object) => ({ name: `order/${object}`, size: object.length }));
      assert.deepEqual(
        objects.map(({ name, size }) => ({ name, size })),
        expected,
      );
      assert.ok(objects.every((object) => object.modified instanceof Date));
    });

    it("takes a prefix that ends in the middle of a name", async () => {
      const { store } = opened();
      assert.deepEqual(await names(store, "order/a/"), ["order/a/-", "order/a/b", "order/a/c/d"]);
      assert.deepEqual(await names(store, "order/a/c"), ["order/a/c/d"]);
      assert.deepEqual(await names(store, "order/a-"), ["order/a-b"]);
      assert.deepEqual(await names(store, "order/zzz"), []);
      assert.deepEqual(await names(store, "nowhere/at/all/"), []);
    });

    it("starts after any name, whether an object has it or not", async () => {
      const all = [...shuffled].sort().map((object) => `order/${object}`);
      for (const after of [...all, "order/a/c", "order/a/zzz", "order/a0a", "order", "order/", "zzz"]) {
        const objects = await Array.fromAsync(opened().store.list("order/", { signal, startAfter: after }));
        const later = all.filter((name) => name > after);
        assert.deepEqual(
          objects.map(({ name }) => name),
          later,
          after,
        );
      }
    });

    it("gives the folders of the store and of a folder, without their objects", async () => {
      const { store } = opened();
      const folders = (folder: string) => Array.fromAsync(store.folders(folder, { signal }));
      assert.deepEqual(await folders("order/"), ["order/.x/", "order/a/"]);
      assert.deepEqual(await folders("order/a/"), ["order/a/c/"]);
      assert.deepEqual(await folders("order/a/c/"), []);
      assert.deepEqual(await folders("nowhere/at/all/"), []);
      const top = await folders("");
      assert.ok(top.includes("order/"));
      assert.deepEqual(top, [...top].sort());
      await assertRejects("Aborted", Array.fromAsync(store.folders("", { signal: AbortSignal.abort() })));
    });

    it("gives every object of the store for an empty prefix, and none beside the store", async () => {
      const all = await names(opened().store, "");
      assert.deepEqual(all.filter((n) => n.startsWith("order/")).length, shuffled.length);
      assert.deepEqual(all, [...all].sort());
    });

    it("continues after the first thousand", async () => {
      const { store } = opened();
      const many = Array.from({ length: 1_005 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
      await eachOf(many, 16, (object) => store.put(object, [Buffer.from("x")], { signal }));
      assert.deepEqual(await names(store, "many/"), many);
      const first: ObjectInfo[] = [];
      for await (const object of store.list("many/", { signal })) if (first.push(object) === 3) break;
      assert.equal(first.length, 3);
    });

    it("fails with Aborted when its signal has fired", async () => {
      const { store } = opened();
      await assertRejects("Aborted", Array.fromAsync(store.list("", { signal: AbortSignal.abort() })));
    });
  });
}
