import assert from "node:assert/strict";
import { test } from "node:test";
import { Fence } from "../../kube/leader/fence.ts";
import { memoryStore } from "../memory/memory-store.fixture.ts";
import { fencedStore } from "./fenced.ts";

/** A fence of one second whose timers never fire: as in a process that has just been woken. */
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
    wakeUpLate() {
      now = 5_000;
    },
    [Symbol.dispose]: () => fence.close("the test is over"),
  };
}

const bytes = [new Uint8Array([1, 2, 3])];
const late = { code: "Aborted", message: /could not be renewed/ };

test("while the fence is open the store is what it was", async () => {
  using bench = prepare();
  const { store, memory, signal } = bench;
  await store.put("a/b", bytes, { signal });
  assert.deepEqual([...memory.objects.keys()], ["a/b"]);
  assert.equal((await store.head("a/b", { signal }))?.size, 3);
  assert.equal(store.url, memory.url);
  await store.remove("a/b", { signal });
  assert.equal(memory.objects.size, 0);
});

test("woken after its time was up, it neither puts nor removes nor sweeps, and may still read", async () => {
  using bench = prepare();
  const { store, memory, signal } = bench;
  await store.put("a/b", bytes, { signal });
  bench.wakeUpLate();
  await assert.rejects(store.put("a/c", bytes, { signal }), late);
  await assert.rejects(store.remove("a/b", { signal }), late);
  await assert.rejects(store.sweep("a", { signal, before: new Date() }), late);
  await assert.rejects(store.probe({ signal, write: true }), late);
  assert.deepEqual([...memory.objects.keys()], ["a/b"]);
  assert.equal((await store.head("a/b", { signal }))?.size, 3);
});

test("an object whose bytes were still coming when the time was up never becomes visible", async () => {
  using bench = prepare();
  const { store, memory, signal } = bench;
  const source = function* () {
    yield* bytes;
    bench.wakeUpLate();
  };
  await assert.rejects(store.put("a/b", source(), { signal }), late);
  assert.equal(memory.objects.size, 0);
});
