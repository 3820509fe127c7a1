import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { memoryStore } from "../store/memory/memory-store.fixture.ts";
import { throttled, throttledReads } from "./throttle.ts";

const mebibyte = 2 ** 20;

/** Chunks of 1 MiB at 1 MiB a second, on a clock that the test moves. */
function prepare(t: TestContext, chunks: number) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const stop = new AbortController();
  let now = 0;
  let given = 0;
  const source = async function* () {
    for (; given < chunks; given += 1) yield new Uint8Array(mebibyte);
  };
  const { chunks: slow } = throttled(
    { totalBytes: chunks * mebibyte, chunks: source() },
    { maxRate: mebibyte, signal: stop.signal, clock: () => now },
  );
  const iterator = slow[Symbol.asyncIterator]();
  return {
    stop,
    next: () => iterator.next(),
    async pass(ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
      await settled();
    },
    given: () => given,
  };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  await settled();
  return (await Promise.race([promise, Promise.resolve("pending")])) === "pending";
}

test("the first chunk is read at once, and the next when the rate allows it", async (t) => {
  const bench = prepare(t, 3);
  await bench.next();
  const second = bench.next();
  await bench.pass(999);
  assert.equal(await isPending(second), true);
  await bench.pass(1);
  assert.equal(await isPending(second), false);
});

test("the time of a slow store counts, and no burst follows it", async (t) => {
  const bench = prepare(t, 4);
  await bench.next();
  await bench.pass(60_000);
  assert.equal(await isPending(bench.next()), false, "the wait is over");
  const third = bench.next();
  assert.equal(await isPending(third), true, "unused rate is not saved up");
  await bench.pass(1_000);
  assert.equal(await isPending(third), false);
});

test("an abort ends the wait", async (t) => {
  const bench = prepare(t, 2);
  await bench.next();
  const second = bench.next();
  await settled();
  bench.stop.abort();
  await assert.rejects(second, { name: "AbortError" });
});

test("without a rate the source is returned unchanged", () => {
  const source = { totalBytes: 1, chunks: (async function* () {})() };
  assert.equal(throttled(source, { maxRate: undefined, signal: new AbortController().signal }), source);
});

test("the objects of a store are read at the rate, byte for byte", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { signal } = new AbortController();
  const store = memoryStore();
  const bytes = Buffer.alloc(3000, "etcd");
  store.objects.set("a", bytes);
  const reading = Array.fromAsync(throttledReads(store, { maxRate: 100, signal }).get("a", { signal }));
  for (let chunk = 0; chunk < 3; chunk++) {
    assert.ok(await isPending(reading), `${chunk}`);
    t.mock.timers.tick(10_000);
  }
  assert.ok(Buffer.concat(await reading).equals(bytes));
});
