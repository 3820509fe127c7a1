import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { KeyedMutex } from "./keyed-mutex.ts";

const { signal } = new AbortController();

test("a key has one holder, and others get it in the order of their calls", async () => {
  const mutex = new KeyedMutex();
  const order: string[] = [];
  const first = await mutex.acquire("a", signal);
  const others = ["b", "c"].map(async (name) => {
    const release = await mutex.acquire("a", signal);
    order.push(name);
    release();
  });
  await setImmediate();
  assert.deepEqual(order, []);
  first();
  await Promise.all(others);
  assert.deepEqual(order, ["b", "c"]);
});

test("keys do not wait for each other", async () => {
  const mutex = new KeyedMutex();
  await mutex.acquire("a", signal);
  (await mutex.acquire("b", signal))();
});

test("a caller that is aborted while it waits leaves the key with its holder", async () => {
  const mutex = new KeyedMutex();
  const release = await mutex.acquire("a", signal);
  const stop = new AbortController();
  const aborted = assert.rejects(mutex.acquire("a", stop.signal), /stopped/);
  stop.abort(new Error("stopped"));
  await aborted;
  let hasIt = false;
  const next = mutex.acquire("a", signal).then((free) => {
    hasIt = true;
    free();
  });
  await setImmediate();
  assert.equal(hasIt, false);
  release();
  await next;
});

test("a key is held until its last holder has released it", async () => {
  const mutex = new KeyedMutex();
  assert.equal(mutex.isHeld("a"), false);
  const release = await mutex.acquire("a", signal);
  assert.equal(mutex.isHeld("a"), true);
  assert.equal(mutex.isHeld("b"), false);
  release();
  await setImmediate();
  assert.equal(mutex.isHeld("a"), false);
});
