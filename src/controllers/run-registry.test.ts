import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RunRegistry } from "./run-registry.ts";

/** A registry whose runs last until the test ends them. Each key waits in the line unless a slot is free for it. */
function begun({ limit, isShared = false }: { limit: number; isShared?: boolean }) {
  const woken: string[] = [];
  const running = new Map<string, () => void>();
  let clock = 0;
  const runs = new RunRegistry<object, string>({
    limit,
    wake: (key) => woken.push(key),
    isShared: () => isShared,
    now: () => clock,
  });
  /** One pass over a key that wants to run. */
  function pass(key: string): boolean {
    const { freeSlots, place } = runs.slotFor(key);
    if (freeSlots <= 0) {
      runs.waitInLine(key, place);
      return false;
    }
    assert.ok(runs.reserve(key, { uid: key, attempt: 1 }));
    const { promise, resolve } = Promise.withResolvers<string>();
    running.set(key, () => resolve("done"));
    runs.start(key, {}, () => promise);
    return true;
  }
  /** Ends a run, and makes the passes that this wakes. Resolves to the keys that began. */
  async function end(key: string): Promise<string[]> {
    woken.length = 0;
    running.get(key)?.();
    running.delete(key);
    await new Promise(setImmediate);
    const others = [...new Set(woken)].filter((other) => other !== key);
    runs.forget(key);
    return others.filter((other) => !running.has(other) && pass(other));
  }
  return {
    runs,
    pass,
    end,
    woken,
    running,
    later: (ms: number) => {
      clock += ms;
    },
  };
}

describe("the line for a slot", () => {
  it("is served in the order of arrival, and each end wakes only the next", async () => {
    const { pass, end, woken } = begun({ limit: 1 });
    for (const key of ["n/a", "n/b", "n/c"]) pass(key);
    assert.deepEqual(await end("n/a"), ["n/b"]);
    assert.ok(!woken.includes("n/c"));
    assert.deepEqual(await end("n/b"), ["n/c"]);
  });

  it("does not let a later key take the slot of the one whose turn it is", async () => {
    const { runs, pass, running } = begun({ limit: 1 });
    pass("n/a");
    pass("n/b");
    running.get("n/a")?.();
    await new Promise(setImmediate);
    assert.equal(pass("n/c"), false);
    assert.equal(runs.reserve("n/c", { uid: "c", attempt: 1 }), false);
    assert.equal(pass("n/b"), true);
  });

  it("serves the namespaces in turns", async () => {
    const { pass, end } = begun({ limit: 1 });
    for (const key of ["a/0", "a/1", "a/2", "b/1"]) pass(key);
    assert.deepEqual(await end("a/0"), ["a/1"]);
    assert.deepEqual(await end("a/1"), ["b/1"]);
    assert.deepEqual(await end("b/1"), ["a/2"]);
  });

  it("passes the turn on when the next in turn leaves", async () => {
    const { runs, pass, running, woken } = begun({ limit: 1 });
    for (const key of ["n/a", "n/b", "n/c"]) pass(key);
    running.get("n/a")?.();
    await new Promise(setImmediate);
    runs.leaveLine("n/b");
    assert.ok(woken.includes("n/c"));
    assert.equal(pass("n/c"), true);
  });

  it("wakes 10,000 waiting keys once each, whatever number of ends there is", async () => {
    const { pass, end, woken } = begun({ limit: 2 });
    const keys = Array.from({ length: 10_000 }, (_, i) => `n${i % 7}/${i}`);
    for (const key of keys) pass(key);
    let wakes = 0;
    const open = keys.slice(0, 2);
    let ended = 0;
    for (let key = open.shift(); key !== undefined; key = open.shift()) {
      open.push(...(await end(key)));
      wakes += woken.length;
      ended += 1;
    }
    assert.equal(ended, 10_000);
    // One for the end itself, one for the next in turn.
    assert.ok(wakes <= 20_000, `${wakes} wakes`);
  });

  it("tells each key its place, and another one only after ten minutes", async () => {
    const { runs, pass, end, later } = begun({ limit: 1 });
    for (const key of ["n/a", "n/b", "n/c", "n/d"]) pass(key);
    const place = (key: string) => runs.slotFor(key).place;
    assert.deepEqual(["n/b", "n/c", "n/d"].map(place), [1, 2, 3]);
    await end("n/a");
    assert.deepEqual(["n/c", "n/d"].map(place), [2, 3]);
    later(600_000);
    assert.deepEqual(["n/c", "n/d"].map(place), [1, 2]);
  });
});

describe("slots that several namespaces share", () => {
  it("are not all held by one namespace", async () => {
    const { pass } = begun({ limit: 2, isShared: true });
    assert.deepEqual(["a/1", "a/2", "b/1"].map(pass), [true, false, true]);
  });

  it("are given to another namespace while the next of the first has to wait", async () => {
    const { pass, end } = begun({ limit: 3, isShared: true });
    assert.deepEqual(["a/1", "a/2", "a/3", "b/1", "b/2"].map(pass), [true, true, false, true, false]);
    assert.deepEqual(await end("a/1"), ["a/3"]);
    assert.deepEqual(await end("a/2"), ["b/2"]);
  });

  it("of one are served in turns", async () => {
    const { pass, end } = begun({ limit: 1, isShared: true });
    assert.deepEqual(["a/1", "b/1"].map(pass), [true, false]);
    assert.deepEqual(await end("a/1"), ["b/1"]);
  });

  it("are all held by the only namespace", () => {
    const { pass } = begun({ limit: 2 });
    assert.deepEqual(["a/1", "a/2"].map(pass), [true, true]);
  });
});
