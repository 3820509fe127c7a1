import assert from "node:assert/strict";
import { test } from "node:test";
import { Fence } from "../../kube/leader/fence.ts";
import { memoryStore } from "../memory/memory-store.fixture.ts";
import { fencedStore } from "./fenced.ts";

/** A fence of one second whose timers never fire, as in a process that was stopped and continues. */
function prepare() {
  let now = 0;
  const fence = new Fence({ until: 1_000, clock: { now: () => now } });
  const memory = memoryStore();
  const signal = new AbortController().signal;
  return {
    memory,
    store: fencedStore(memory, fence),
    fence,
    signal,
    passDeadline() {
      now = 5_000;
    },
    [Symbol.dispose]: () => fence.close("the test is over"),
  };
}

const bytes = [new Uint8Array([1, 2, 3])];
const late = { code: "Aborted", message: /could not be renewed/ };

test("an open fence passes every call to the store", async () => {
  using bench = prepare();
  const { store, memory, signal } = bench;
  await store.put("a/b", bytes, { signal });
  assert.deepEqual([...memory.objects.keys()], ["a/b"]);
  assert.equal((await store.head("a/b", { signal }))?.size, 3);
  assert.equal(store.url, memory.url);
  await store.remove("a/b", { signal });
  assert.equal(memory.objects.size, 0);
});

test("after the fence's deadline put, remove, sweep and probe are refused, and reads go on", async () => {
  using bench = prepare();
  const { store, memory, signal } = bench;
  await store.put("a/b", bytes, { signal });
  bench.passDeadline();
  await assert.rejects(store.put("a/c", bytes, { signal }), late);
  await assert.rejects(store.remove("a/b", { signal }), late);
  await assert.rejects(store.sweep("a", { signal, before: new Date() }), late);
  await assert.rejects(store.probe({ signal, write: true }), late);
  assert.deepEqual([...memory.objects.keys()], ["a/b"]);
  assert.equal((await store.head("a/b", { signal }))?.size, 3);
});

test("an object whose last bytes arrive after the fence's deadline never becomes visible", async () => {
  using bench = prepare();
  const { store, memory, signal } = bench;
  const source = function* () {
    yield* bytes;
    bench.passDeadline();
  };
  await assert.rejects(store.put("a/b", source(), { signal }), late);
  assert.equal(memory.objects.size, 0);
});
