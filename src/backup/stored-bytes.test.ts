import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { breakingStore } from "./broken-store.fixture.ts";
import { framePlainBytes } from "./frames.ts";
import { storedBytes } from "./stored-bytes.ts";

const { signal } = new AbortController();
const sleep = async () => {};
const bytes = randomBytes(50_000);

async function read(
  store: ReturnType<typeof breakingStore>,
  range: { offset: number; length?: number } = { offset: 0 },
): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(storedBytes(store, "a", range, { signal, sleep })));
}

test("a read that does not break has no range, so the store compares its own checksum", async () => {
  const store = breakingStore(bytes, []);
  assert.ok((await read(store)).equals(bytes));
  assert.deepEqual(store.ranges, [undefined]);
});

test("a broken read goes on at the byte where it broke, and yields each byte once", async () => {
  const store = breakingStore(bytes, [12_345, 0, 1]);
  assert.ok((await read(store)).equals(bytes));
  assert.deepEqual(store.ranges, [undefined, { offset: 12_345 }, { offset: 12_345 }, { offset: 12_346 }]);
});

test("a broken read of a range goes on within the range", async () => {
  const store = breakingStore(bytes, [10_000]);
  const part = await read(store, { offset: 5_000, length: 20_000 });
  assert.ok(part.equals(bytes.subarray(5_000, 25_000)));
  assert.deepEqual(store.ranges, [
    { offset: 5_000, length: 20_000 },
    { offset: 15_000, length: 10_000 },
  ]);
});

for (const code of ["Unreachable", "Timeout", "StoreFailed"] as const) {
  test(`${code} may pass: the read goes on`, async () => {
    const store = breakingStore(bytes, [1_000], new OperatorError(code, "in the middle"));
    assert.ok((await read(store)).equals(bytes));
  });
}

const permanent: [string, Error][] = [
  ...(["NotFound", "Unauthorized", "VerificationFailed", "Aborted"] satisfies ErrorCode[]).map(
    (code): [string, Error] => [code, new OperatorError(code, "in the middle")],
  ),
  ["a permanent StoreFailed", new OperatorError("StoreFailed", "no such range", { permanent: true })],
  ["an error of the program", new TypeError("x is not a function")],
];
for (const [what, error] of permanent) {
  test(`the read ends with ${what}`, async () => {
    const store = breakingStore(bytes, [1_000], error);
    await assert.rejects(read(store), (thrown) => thrown === error);
    assert.equal(store.ranges.length, 1);
  });
}

test("a read that breaks again and again without the progress of a frame fails", async () => {
  const error = new OperatorError("Timeout", "no answer");
  const store = breakingStore(
    bytes,
    Array.from({ length: 100 }, () => 100),
    error,
  );
  await assert.rejects(read(store), (thrown) => thrown === error);
  assert.equal(store.ranges.length, 5);
});

test("a read that breaks after each frame goes on to the end", async () => {
  const large = randomBytes(8 * framePlainBytes + 10);
  const store = breakingStore(
    large,
    Array.from({ length: 8 }, () => framePlainBytes),
  );
  assert.ok((await read(store)).equals(large));
  assert.equal(store.ranges.length, 9);
});

test("a read that fails before its first byte fails at once: the store has tried it again itself", async () => {
  const store = breakingStore(bytes, [0]);
  await assert.rejects(read(store), { code: "Unreachable" });
  assert.equal(store.ranges.length, 1);
});

test("an abort while the read waits to go on throws its reason", async () => {
  const abort = new AbortController();
  const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
  const store = breakingStore(bytes, [1_000]);
  const reading = (async () => {
    for await (const chunk of storedBytes(store, "a", { offset: 0 }, { signal: abort.signal })) {
      assert.ok(chunk.length > 0);
      setImmediate(() => abort.abort(reason));
    }
  })();
  await assert.rejects(reading, (thrown) => thrown === reason);
});
