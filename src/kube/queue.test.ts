import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { type Clock, KeyedQueue } from "./queue.ts";

/** A clock that moves only when a test advances it. */
class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Map<number, { due: number; run: () => void }>();
  #next = 1;

  now(): number {
    return this.#now;
  }

  setTimer(run: () => void, ms: number): unknown {
    this.#timers.set(this.#next, { due: this.#now + ms, run });
    return this.#next++;
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(Number(timer));
  }

  get pending(): number[] {
    return [...this.#timers.values()].map(({ due }) => due - this.#now).toSorted((a, b) => a - b);
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const [first] = [...this.#timers]
        .filter(([, t]) => t.due <= until)
        .toSorted(([, a], [, b]) => a.due - b.due);
      if (first === undefined) break;
      const [id, { due, run }] = first;
      this.#timers.delete(id);
      this.#now = due;
      run();
    }
    this.#now = until;
  }
}

interface Fairness {
  slowMs?: number;
  workersPerGroup?: number;
  groupOf?: (key: string) => string;
}

/** A running queue whose work on a key ends when the test ends it. */
function started({ workers = 1, ...fair }: { workers?: number } & Fairness = {}) {
  const clock = new ManualClock();
  const { workersPerGroup = workers, groupOf = () => "", ...slow } = fair;
  const queue = new KeyedQueue({ clock, baseMs: 1_000, maxMs: 300_000, groupOf });
  const stopping = new AbortController();
  const begun: string[] = [];
  const errors: string[] = [];
  const open = new Map<string, { end: () => void; fail: (error: Error) => void }>();
  const process = async (key: string) => {
    begun.push(key);
    assert.ok(!open.has(key), `two runs of ${key} at once`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    open.set(key, { end: resolve, fail: reject });
    await promise.finally(() => open.delete(key));
  };
  const onError = (key: string, error: unknown) =>
    errors.push(`${key}: ${error instanceof Error ? error.message : ""}`);
  const ended = queue.run({ workers, workersPerGroup, ...slow, process, onError, signal: stopping.signal });
  /** Runs everything that needs no time to pass. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const end = async (key: string) => {
    open.get(key)?.end();
    await settle();
  };
  const fail = async (key: string, message: string) => {
    open.get(key)?.fail(new Error(message));
    await settle();
  };
  return { clock, queue, stopping, begun, errors, open, ended, settle, end, fail };
}

describe("a queue", () => {
  test("works on keys in the order in which they were added, one a worker", async () => {
    const { queue, begun, end } = started({ workers: 2 });
    for (const key of ["a", "b", "c", "d"]) queue.add(key);
    assert.deepEqual(begun, ["a", "b"]);
    await end("b");
    assert.deepEqual(begun, ["a", "b", "c"]);
    await end("a");
    assert.deepEqual(begun, ["a", "b", "c", "d"]);
  });

  test("works once on a key that was added twice before its work began", async () => {
    const { queue, begun, end } = started();
    for (const key of ["a", "b", "b"]) queue.add(key);
    assert.equal(queue.depth, 1);
    await end("a");
    await end("b");
    assert.deepEqual(begun, ["a", "b"]);
  });

  test("works again on a key that was added during its work, and not at the same time", async () => {
    const { queue, begun, end } = started({ workers: 3 });
    queue.add("a");
    queue.add("a");
    queue.add("a");
    assert.deepEqual(begun, ["a"]);
    await end("a");
    assert.deepEqual(begun, ["a", "a"]);
    await end("a");
    assert.deepEqual(begun, ["a", "a"]);
  });

  test("keeps what was added before it runs", async () => {
    const queue = new KeyedQueue();
    queue.add("early");
    const seen = Promise.withResolvers<string>();
    const stopping = new AbortController();
    const ended = queue.run({
      workers: 1,
      process: async (key) => seen.resolve(key),
      onError: assert.fail,
      signal: stopping.signal,
    });
    assert.equal(await seen.promise, "early");
    stopping.abort();
    await ended;
  });
});

describe("a delay", () => {
  test("of several, the one that ends first counts", async () => {
    const { queue, clock, begun } = started();
    queue.addAfter("a", 5_000);
    queue.addAfter("a", 9_000);
    queue.addAfter("a", 2_000);
    assert.deepEqual(clock.pending, [2_000]);
    clock.advance(1_999);
    assert.deepEqual(begun, []);
    clock.advance(1);
    assert.deepEqual(begun, ["a"]);
  });

  test("is not cancelled by an add", async () => {
    const { queue, clock, begun, end } = started();
    queue.addAfter("a", 2_000);
    queue.add("a");
    await end("a");
    clock.advance(2_000);
    assert.deepEqual(begun, ["a", "a"]);
  });

  test("longer than Node's longest timer is cut to that, not to 1 ms", () => {
    const { queue, clock } = started();
    queue.addAfter("a", 90 * 86_400_000);
    assert.deepEqual(clock.pending, [2 ** 31 - 1]);
  });

  test("of 0 or less is none", () => {
    const { queue, begun } = started({ workers: 2 });
    queue.addAfter("a", 0);
    queue.addAfter("b", -5);
    assert.deepEqual(begun, ["a", "b"]);
  });
});

describe("backoff", () => {
  test("doubles from one second to five minutes, for each key separately, until it is forgotten", () => {
    const queue = new KeyedQueue({ clock: new ManualClock() });
    const delays = Array.from({ length: 11 }, () => queue.addRateLimited("a"));
    assert.deepEqual(
      delays.map((ms) => ms / 1_000),
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300],
    );
    assert.equal(queue.addRateLimited("b"), 1_000);
    queue.forget("a");
    assert.equal(queue.failures("a"), 0);
    assert.equal(queue.addRateLimited("a"), 1_000);
  });

  test("follows work that threw, and the error is reported", async () => {
    const { queue, clock, begun, errors, fail } = started();
    queue.add("a");
    await fail("a", "no luck");
    assert.deepEqual(errors, ["a: no luck"]);
    assert.deepEqual(clock.pending, [1_000]);
    clock.advance(1_000);
    assert.deepEqual(begun, ["a", "a"]);
  });
});

describe("stopping", () => {
  test("starts nothing more and waits for the work that runs", async () => {
    const { queue, clock, stopping, begun, ended, end, settle } = started();
    let over = false;
    const noted = (async () => {
      await ended;
      over = true;
    })();
    for (const key of ["a", "b"]) queue.add(key);
    queue.addAfter("c", 1_000);
    stopping.abort();
    await settle();
    assert.equal(over, false);
    assert.deepEqual(clock.pending, [], "a timer would keep the process alive");
    await end("a");
    await noted;
    queue.addAfter("d", 1_000);
    assert.deepEqual(clock.pending, []);
    assert.deepEqual(begun, ["a"]);
    assert.equal(queue.depth, 3, "keys that were not worked on are kept");
  });

  test("ends at once when nothing runs", async () => {
    const { stopping, ended } = started();
    stopping.abort();
    await ended;
  });
});

type Step =
  | { do: "add" | "addRateLimited" | "end" | "fail" | "forget"; key: string }
  | { do: "addAfter"; key: string; ms: number }
  | { do: "advance"; ms: number };

const key = fc.constantFrom("a", "b", "c", "d");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom("add", "addRateLimited", "end", "fail", "forget"), key }),
  fc.record({ do: fc.constant("addAfter" as const), key, ms: fc.integer({ min: 0, max: 10_000 }) }),
  fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
);

test("in any order of steps no add is lost, no key runs twice at once and no more keys run than there are workers", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, workers) => {
        const { queue, clock, begun, open, stopping, ended, settle, end, fail } = started({ workers });
        /** Runs that had begun when the key was last added: another one has to begin. */
        const owed = new Map<string, number>();
        const runs = (k: string) => begun.filter((b) => b === k).length;
        for (const s of steps) {
          const before = s.do === "advance" ? 0 : runs(s.key);
          if (s.do === "add") queue.add(s.key);
          else if (s.do === "addAfter") queue.addAfter(s.key, s.ms);
          else if (s.do === "addRateLimited") queue.addRateLimited(s.key);
          else if (s.do === "forget") queue.forget(s.key);
          else if (s.do === "end") await end(s.key);
          else if (s.do === "fail" && open.has(s.key)) await fail(s.key, "chance");
          else if (s.do === "advance") clock.advance(s.ms);
          if (s.do === "add" || s.do === "addAfter" || s.do === "addRateLimited") owed.set(s.key, before);
          assert.ok(open.size <= workers);
        }
        while (open.size > 0 || queue.depth > 0 || clock.pending.length > 0) {
          for (const k of open.keys()) await end(k);
          clock.advance(300_000);
          await settle();
        }
        for (const [k, before] of owed) assert.ok(runs(k) > before, `${k} was added and not worked on`);
        stopping.abort();
        await ended;
      },
    ),
    { numRuns: 300 },
  );
});

describe("a queue with groups", () => {
  const groupOf = (key: string) => key.slice(0, key.indexOf("/"));

  test("gives a group no more workers than it may have, and the others to the next group", async () => {
    const { queue, begun, end } = started({ workers: 4, workersPerGroup: 2, groupOf });
    for (const key of ["a/1", "a/2", "a/3", "a/4", "b/1"]) queue.add(key);
    assert.deepEqual(begun, ["a/1", "a/2", "b/1"]);
    await end("a/2");
    assert.deepEqual(begun, ["a/1", "a/2", "b/1", "a/3"]);
  });

  test("works on the only key of one group after one of another that holds 10,000", async () => {
    const { queue, begun, end } = started({ workers: 1, groupOf });
    for (let i = 0; i < 10_000; i++) queue.add(`many/${i}`);
    queue.add("few/1");
    await end("many/0");
    await end("many/1");
    assert.deepEqual(begun, ["many/0", "many/1", "few/1"]);
  });

  test("works on the next group when all work of one hangs", async () => {
    const { queue, begun } = started({ workers: 4, workersPerGroup: 3, groupOf });
    for (let i = 0; i < 1_000; i++) queue.add(`silent/${i}`);
    queue.add("other/1");
    assert.deepEqual(begun, ["silent/0", "silent/1", "silent/2", "other/1"]);
  });

  test("works on the next group once all work of the others is slow, and gives a slow group no more than its workers", async () => {
    const { queue, clock, begun } = started({ workers: 4, workersPerGroup: 2, slowMs: 2_000, groupOf });
    for (const group of ["a", "b", "c"]) for (let i = 0; i < 10; i++) queue.add(`${group}/${i}`);
    assert.deepEqual(begun, ["a/0", "a/1", "b/0", "b/1"]);
    queue.add("d/0");
    clock.advance(1_999);
    assert.equal(begun.length, 4, "work that is not slow occupies the workers");
    clock.advance(1);
    assert.deepEqual(begun.slice(4), ["c/0", "d/0", "c/1"]);
    clock.advance(60_000);
    assert.equal(begun.length, 7, "each group has its two");
  });

  test("works on one more key for each slow one, and on no more after these have ended", async () => {
    const { queue, clock, begun, end } = started({ workers: 1, workersPerGroup: 3, slowMs: 2_000, groupOf });
    for (let i = 0; i < 9; i++) queue.add(`a/${i}`);
    clock.advance(1_000);
    await end("a/0");
    clock.advance(1_999);
    assert.deepEqual(begun, ["a/0", "a/1"], "the time of work that has ended counts for no other");
    clock.advance(1);
    assert.deepEqual(begun, ["a/0", "a/1", "a/2"]);
    await end("a/1");
    assert.deepEqual(begun, ["a/0", "a/1", "a/2"], "work that has ended is slow no more");
  });
});
