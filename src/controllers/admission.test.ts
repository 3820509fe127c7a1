import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { TurnState } from "../core/run-view.ts";
import { Admission } from "./admission.ts";
import { InProcessRunner } from "./in-process-runner.ts";

interface Reported {
  turn?: TurnState;
}

function turnOf(key: string): string | undefined {
  return key.split("#")[1];
}

/** A runner whose runs last until the test ends them. Each key waits in the line unless a slot is free for it. */
function begun({ limit, isShared = false }: { limit: number; isShared?: boolean }) {
  const woken: string[] = [];
  const running = new Map<string, () => void>();
  const reports = new Map<string, (change: Reported) => void>();
  let clock = 0;
  const wake = (key: string) => void woken.push(key);
  const admission = new Admission({ limit, wake, now: () => clock });
  admission.share(isShared);
  const runs = new InProcessRunner<string, Reported, string>({
    slots: admission,
    wake,
    turnStateOf: ({ turn = "waits" }) => turn,
    firstReport: () => ({}),
    perform(key, report) {
      const { promise, resolve } = Promise.withResolvers<string>();
      running.set(key, () => resolve("done"));
      reports.set(key, report);
      return promise;
    },
  });
  /** One pass over a key that wants to run. Keys with a `#` have the turn that follows it: `n/a#etcd`. */
  function pass(key: string): boolean {
    const turn = turnOf(key);
    const { freeSlots, place } = admission.slotFor(key, turn);
    if (freeSlots <= 0) {
      admission.waitInLine(key, { place, turn });
      return false;
    }
    assert.ok(runs.reserve(key, { uid: key, attempt: 1, turn }));
    runs.start(key, key);
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
    admission,
    runs,
    pass,
    end,
    woken,
    running,
    report: (key: string, turn: TurnState) => {
      woken.length = 0;
      reports.get(key)?.({ turn });
      return woken.filter((other) => other !== key);
    },
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
    const { admission, pass, running, woken } = begun({ limit: 1 });
    for (const key of ["n/a", "n/b", "n/c"]) pass(key);
    running.get("n/a")?.();
    await new Promise(setImmediate);
    admission.leaveLine("n/b");
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
    const { admission, pass, end, later } = begun({ limit: 1 });
    for (const key of ["n/a", "n/b", "n/c", "n/d"]) pass(key);
    const place = (key: string) => admission.slotFor(key).place;
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

  it("go to the namespace that waits as soon as it is known that there are several", () => {
    const { pass, admission, woken } = begun({ limit: 2 });
    assert.deepEqual(["a/1", "a/2", "a/3", "b/1"].map(pass), [true, true, false, false]);
    admission.release("a/2");
    assert.deepEqual(woken, ["a/3"]);
    admission.share(true);
    assert.deepEqual(woken, ["a/3", "b/1"]);
    assert.deepEqual(["a/3", "b/1"].map(pass), [false, true]);
  });

  it("are all held by the only namespace", () => {
    const { pass } = begun({ limit: 2 });
    assert.deepEqual(["a/1", "a/2"].map(pass), [true, true]);
  });
});

describe("keys of one turn", () => {
  it("hold one slot, and those behind the first delay no other key", async () => {
    const { pass, end } = begun({ limit: 3 });
    const waiting = Array.from({ length: 9 }, (_, i) => `n/${i}#etcd`);
    assert.equal(pass("n/first#etcd"), true);
    assert.deepEqual(
      waiting.map(pass),
      waiting.map(() => false),
    );
    assert.deepEqual(["n/x#other", "n/y"].map(pass), [true, true]);
    assert.deepEqual(
      await end("n/x#other"),
      [],
      "the free slot is for none of those that wait for their turn",
    );
    assert.equal(pass("n/z"), true);
    assert.deepEqual(await end("n/first#etcd"), ["n/0#etcd"]);
    assert.deepEqual(await end("n/0#etcd"), ["n/1#etcd"]);
  });

  it("keep their order in the line among other keys", async () => {
    const { pass, end } = begun({ limit: 1 });
    for (const key of ["n/a#1", "n/b#1", "n/c#2", "n/d#1"]) pass(key);
    assert.deepEqual(await end("n/a#1"), ["n/b#1"]);
    assert.deepEqual(await end("n/b#1"), ["n/c#2"]);
    assert.deepEqual(await end("n/c#2"), ["n/d#1"]);
  });

  it("do not start together when several slots become free", async () => {
    const { pass, end } = begun({ limit: 2 });
    for (const key of ["n/a", "n/b", "n/c#1", "n/d#1", "n/e#1"]) pass(key);
    assert.deepEqual(await end("n/a"), ["n/c#1"]);
    assert.deepEqual(await end("n/b"), []);
    assert.deepEqual(await end("n/c#1"), ["n/d#1"]);
  });

  it("are told which one they wait for", async () => {
    const { admission, pass, running } = begun({ limit: 2 });
    for (const key of ["n/a#1", "n/b#1", "n/c#1", "n/d#2"]) pass(key);
    const behind = (key: string) => admission.slotFor(key, turnOf(key)).behind;
    assert.deepEqual(["n/b#1", "n/new#1", "n/new#2", "n/new#3"].map(behind), [
      "n/a#1",
      "n/a#1",
      "n/d#2",
      undefined,
    ]);
    running.get("n/a#1")?.();
    await new Promise(setImmediate);
    assert.deepEqual(["n/b#1", "n/c#1"].map(behind), [undefined, "n/b#1"]);
  });

  it("pass the turn on when the next of them leaves", async () => {
    const { admission, pass, running, woken } = begun({ limit: 2 });
    for (const key of ["n/a#1", "n/b#1", "n/c#1"]) pass(key);
    running.get("n/a#1")?.();
    await new Promise(setImmediate);
    assert.equal(pass("n/c#1"), false, "n/b#1 comes first");
    woken.length = 0;
    admission.leaveLine("n/b#1");
    assert.deepEqual(woken, ["n/c#1"]);
    assert.equal(pass("n/c#1"), true);
  });

  it("give up their place when the resource under a key is replaced by one with another turn", () => {
    const { admission, pass, woken } = begun({ limit: 2 });
    for (const key of ["n/a#1", "n/b#1", "n/c#1"]) pass(key);
    const { place } = admission.slotFor("n/c#1", "2");
    admission.waitInLine("n/c#1", { place, turn: "2" });
    assert.ok(woken.includes("n/c#1"));
    assert.equal(admission.slotFor("n/c#1", "2").freeSlots, 1);
  });

  it("start when the first no longer needs the turn, while it still holds its slot", () => {
    const { pass, report } = begun({ limit: 2 });
    for (const key of ["n/a#1", "n/b#1"]) pass(key);
    assert.deepEqual(report("n/a#1", "held"), []);
    assert.deepEqual(report("n/a#1", "over"), ["n/b#1"]);
    assert.equal(pass("n/b#1"), true);
    assert.equal(pass("n/c#1"), false);
  });

  it("of another namespace wait for a run that has proved that it holds the turn, and only for that", () => {
    const { pass, report } = begun({ limit: 4 });
    assert.equal(pass("a/1#etcd"), true);
    assert.equal(pass("b/1#etcd"), true, "a/1 may never reach the etcd that its spec names");
    report("a/1#etcd", "held");
    assert.equal(pass("c/1#etcd"), false);
    report("a/1#etcd", "over");
    assert.equal(pass("c/1#etcd"), true);
  });

  it("wake a key that comes while the free slot is kept for another namespace, and that has the next turn", async () => {
    const { pass, running, woken } = begun({ limit: 2 });
    for (const key of ["a/1#1", "x/1", "a/2#1", "b/1"]) pass(key);
    running.get("x/1")?.();
    await new Promise(setImmediate);
    assert.ok(woken.includes("b/1"));
    assert.equal(pass("a/3"), false);
    assert.equal(pass("b/1"), false, "the namespace a has waited for longer");
    assert.ok(woken.includes("a/3"));
    assert.equal(pass("a/3"), true);
  });

  it("in one namespace leave a slot to the others", async () => {
    const { pass, end } = begun({ limit: 3, isShared: true });
    const keys = ["a/1#1", "a/2#1", "a/3#2", "a/4#3", "b/1#4", "b/2#5"];
    assert.deepEqual(keys.map(pass), [true, false, true, false, true, false]);
    assert.deepEqual(await end("a/1#1"), ["a/2#1"]);
    assert.deepEqual(await end("b/1#4"), ["b/2#5"]);
    assert.deepEqual(await end("a/3#2"), ["a/4#3"]);
  });

  it("are found among 10,000 that wait for one turn", async () => {
    const { pass, end } = begun({ limit: 2 });
    for (let i = 0; i < 10_000; i++) pass(`n/${i}#1`);
    for (let i = 0; i < 20; i++) {
      assert.equal(pass(`n/other-${i}#2`), true);
      assert.deepEqual(await end(`n/other-${i}#2`), []);
    }
    assert.deepEqual(await end("n/0#1"), ["n/1#1"]);
  });
});

describe("whatever comes, ends and leaves", () => {
  const key = fc
    .tuple(fc.constantFrom("a", "b", "c"), fc.nat({ max: 9 }), fc.constantFrom("", "#1", "#2", "#3"))
    .map(([namespace, n, turn]) => `${namespace}/${n}${turn}`);
  const happening = fc.oneof(
    { weight: 4, arbitrary: fc.record({ what: fc.constant("comes" as const), key }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("ends" as const), nth: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("leaves" as const), key }) },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constant("reports" as const),
        nth: fc.nat(),
        turn: fc.constantFrom<TurnState>("held", "over"),
      }),
    },
  );
  const story = fc.record({
    limit: fc.integer({ min: 1, max: 4 }),
    isShared: fc.boolean(),
    happenings: fc.array(fc.tuple(happening, fc.boolean()), { maxLength: 40 }),
  });

  it("each key that could run has been woken, no two of a turn run in one namespace, and all run in the end", async () => {
    await fc.assert(
      fc.asyncProperty(story, async ({ limit, isShared, happenings }) => {
        const { admission, runs, pass, report, running, woken } = begun({ limit, isShared });
        const waiting = new Set<string>();
        const states = new Map<string, TurnState>();
        const come = (k: string) => {
          if (running.has(k)) return;
          if (pass(k)) waiting.delete(k);
          else waiting.add(k);
        };
        const wakeAll = () => {
          for (let k = woken.shift(); k !== undefined; k = woken.shift()) if (waiting.has(k)) come(k);
        };
        const check = () => {
          for (const k of waiting)
            assert.equal(admission.slotFor(k, turnOf(k)).freeSlots, 0, `${k} could run, and was not woken`);
          assert.ok(running.size <= limit);
          const inTurn = [...running.keys()].flatMap((k) =>
            turnOf(k) === undefined || states.get(k) === "over" ? [] : [`${k.split("/")[0]} ${turnOf(k)}`],
          );
          assert.equal(new Set(inTurn).size, inTurn.length, [...running.keys()].join(" "));
        };
        const endOf = async (k: string) => {
          states.delete(k);
          running.get(k)?.();
          running.delete(k);
          await new Promise(setImmediate);
          runs.forget(k);
          wakeAll();
        };
        for (const [each, isNextPassLater] of happenings) {
          const nth = "nth" in each ? [...running.keys()][each.nth % Math.max(1, running.size)] : undefined;
          if (each.what === "comes") come(each.key);
          if (each.what === "ends" && nth !== undefined) await endOf(nth);
          if (each.what === "leaves" && waiting.delete(each.key)) admission.leaveLine(each.key);
          if (each.what === "reports" && nth !== undefined && states.get(nth) !== "over") {
            states.set(nth, each.turn);
            const earlier = woken.splice(0);
            report(nth, each.turn);
            woken.unshift(...earlier);
          }
          if (isNextPassLater) continue;
          wakeAll();
          check();
        }
        for (let i = 0; i < 100 && running.size > 0; i++) await endOf([...running.keys()][0] ?? "");
        assert.deepEqual([...waiting], []);
      }),
      { numRuns: 300 },
    );
  });
});
