import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { memoryStore } from "../memory/memory-store.fixture.ts";
import type { Store } from "../store.ts";
import { storeContract } from "../store.contract.ts";
import { withCallDeadline } from "./deadline.ts";

const { signal } = new AbortController();
const before = new Date(0);

/** A store that never answers and ignores every signal, as a file system does that hangs. */
function silentStore(): Store {
  const store = memoryStore();
  store.objects.set("a", Buffer.from("x"));
  store.beforeCall = () => new Promise<void>(() => {});
  return store;
}

describe("a store with a deadline", () => {
  const calls: Record<string, (store: Store) => Promise<unknown>> = {
    probe: (store) => store.probe({ signal, write: true }),
    head: (store) => store.head("a", { signal }),
    remove: (store) => store.remove("a", { signal }),
    sweep: (store) => store.sweep("", { signal, before }),
    list: (store) => Array.fromAsync(store.list("", { signal })),
    folders: (store) => Array.fromAsync(store.folders("", { signal })),
    get: (store) => Array.fromAsync(store.get("a", { signal })),
  };
  for (const [name, call] of Object.entries(calls))
    it(`ends ${name} with Timeout when it stays silent`, async () => {
      await assert.rejects(call(withCallDeadline(silentStore(), 1)), { code: "Timeout" });
    });

  it("does not count the time that the caller takes between two objects", async ({ mock }) => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const store = memoryStore();
    for (const name of ["a", "b", "c"]) store.objects.set(name, Buffer.from("x"));
    const names: string[] = [];
    for await (const { name } of withCallDeadline(store, 1_000).list("", { signal })) {
      names.push(name);
      mock.timers.tick(5_000);
    }
    assert.deepEqual(names, ["a", "b", "c"]);
  });
});

storeContract("the in-memory store with a deadline", async () => {
  const store = memoryStore();
  const bounded = (bare: Store) => withCallDeadline(bare, 60_000);
  return {
    store: bounded(store),
    partSize: 64 * 1024,
    reopen: async () => bounded(memoryStore(store)),
    async leaveUnfinished(name) {
      store.unfinished.push({ name, begun: new Date() });
    },
    unfinished: async () => store.unfinished.map(({ name }) => name),
    async [Symbol.asyncDispose]() {},
  };
});
