import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Clock, KeyedQueue } from "./queue.ts";

const baseMs = 1_000;
const maxMs = 300_000;
const longestTimerMs = 2 ** 31 - 1;

type Step =
  | { do: "add" | "addRateLimited" | "forget" | "succeed" | "fail"; key: string }
  | { do: "addAfter"; key: string; ms: number }
  | { do: "tick"; ms: number }
  | { do: "stop" };

/** The contract of a queue without promises and timers: each step changes the model as it has to change the queue. */
class Model {
  now = 0;
  stopped = false;
  /** Keys in the order in which work on them began. */
  readonly begun: string[] = [];
  readonly running = new Set<string>();
  readonly failures = new Map<string, number>();
  #waiting: string[] = [];
  #again: string[] = [];
  #delays: { key: string; due: number }[] = [];
  readonly #workers: number;

  constructor(workers: number) {
    this.#workers = workers;
  }

  get depth(): number {
    return this.#waiting.length + this.#again.length;
  }

  get timers(): number[] {
    return this.#delays.map(({ due }) => due - this.now).toSorted((a, b) => a - b);
  }

  add(key: string): void {
    const line = this.running.has(key) ? this.#again : this.#waiting;
    if (!line.includes(key)) line.push(key);
    this.#begin();
  }

  addAfter(key: string, ms: number): void {
    if (ms <= 0 || this.stopped) return this.add(key);
    const due = this.now + (Number.isNaN(ms) ? baseMs : Math.min(ms, longestTimerMs));
    if (this.#delays.some((delay) => delay.key === key && delay.due <= due)) return;
    this.#delays = [...this.#delays.filter((delay) => delay.key !== key), { key, due }];
  }

  addRateLimited(key: string): void {
    const failures = (this.failures.get(key) ?? 0) + 1;
    this.failures.set(key, failures);
    this.addAfter(key, Math.min(maxMs, baseMs * 2 ** (failures - 1)));
  }

  end(key: string, well: boolean): void {
    if (!well) this.addRateLimited(key);
    this.running.delete(key);
    if (this.#again.includes(key)) {
      this.#again = this.#again.filter((k) => k !== key);
      if (!this.#waiting.includes(key)) this.#waiting.push(key);
    }
    this.#begin();
  }

  tick(ms: number): void {
    this.now += ms;
    const due = this.#delays.filter((delay) => delay.due <= this.now);
    this.#delays = this.#delays.filter((delay) => delay.due > this.now);
    for (const { key } of due.toSorted((a, b) => a.due - b.due)) this.add(key);
  }

  stop(): void {
    this.stopped = true;
    const delays = this.#delays;
    this.#delays = [];
    for (const { key } of delays) this.add(key);
  }

  #begin(): void {
    while (!this.stopped && this.running.size < this.#workers) {
      const key = this.#waiting.shift();
      if (key === undefined) return;
      this.running.add(key);
      this.begun.push(key);
    }
  }
}

/** A clock that a test advances. Refuses delays that Node would turn into a timer of 1 ms. */
function manualClock() {
  const timers = new Map<number, { due: number; run: () => void }>();
  let now = 0;
  let next = 1;
  const clock: Clock = {
    now: () => now,
    setTimer(run, ms) {
      assert.ok(ms >= 1 && ms <= longestTimerMs, `a timer of ${ms} ms`);
      timers.set(next, { due: now + ms, run });
      return next++;
    },
    clearTimer: (timer) => timers.delete(Number(timer)),
  };
  return {
    clock,
    pending: () => [...timers.values()].map(({ due }) => due - now).toSorted((a, b) => a - b),
    tick(ms: number) {
      const until = now + ms;
      for (;;) {
        const [first] = [...timers]
          .filter(([, t]) => t.due <= until)
          .toSorted(([, a], [, b]) => a.due - b.due);
        if (first === undefined) break;
        const [id, { due, run }] = first;
        timers.delete(id);
        now = due;
        run();
      }
      now = until;
    },
  };
}

/** Runs everything that needs no time to pass. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A running queue whose work on a key ends when the test ends it. */
function startQueue(workers: number) {
  const time = manualClock();
  const queue = new KeyedQueue({ clock: time.clock, baseMs, maxMs });
  const stopping = new AbortController();
  const begun: string[] = [];
  const open = new Map<string, PromiseWithResolvers<void>>();
  let drained = false;
  const process = async (key: string) => {
    assert.equal(open.has(key), false, `two runs of ${key} at once`);
    const work = Promise.withResolvers<void>();
    open.set(key, work);
    begun.push(key);
    assert.ok(open.size <= workers, `${open.size} runs for ${workers} workers`);
    await work.promise.finally(() => open.delete(key));
  };
  const errors: unknown[] = [];
  const onError = (_: string, error: unknown) => void errors.push(error);
  const over = queue.run({ workers, process, onError, signal: stopping.signal }).then(() => {
    drained = true;
  });
  const chance = new Error("chance");
  return {
    ...time,
    queue,
    begun,
    open,
    over,
    stop: () => stopping.abort(),
    end: (key: string, well: boolean) => (well ? open.get(key)?.resolve() : open.get(key)?.reject(chance)),
    /** Errors of `process` that the test did not cause, among them its failed assertions. */
    unexpected: () => errors.filter((error) => error !== chance),
    isDrained: () => drained,
  };
}

type Running = ReturnType<typeof startQueue>;

/** The same step for the model and the queue. */
function apply(step: Step, model: Model, real: Running): void {
  switch (step.do) {
    case "add":
    case "addRateLimited":
      model[step.do](step.key);
      real.queue[step.do](step.key);
      return;
    case "addAfter":
      model.addAfter(step.key, step.ms);
      real.queue.addAfter(step.key, step.ms);
      return;
    case "forget":
      model.failures.delete(step.key);
      real.queue.forget(step.key);
      return;
    case "succeed":
    case "fail":
      if (!model.running.has(step.key)) return;
      model.end(step.key, step.do === "succeed");
      real.end(step.key, step.do === "succeed");
      return;
    case "tick":
      model.tick(step.ms);
      real.tick(step.ms);
      return;
    case "stop":
      if (!model.stopped) model.stop();
      real.stop();
      return;
    default:
      step satisfies never;
  }
}

const keys = ["a", "b", "c", "d"];
const key = fc.constantFrom(...keys);
const oddDelay = fc.constantFrom(Number.NaN, Infinity, -Infinity, -1, 0, longestTimerMs + 1, 1e300);
const delay = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 8 }).map((n) => n * 500) },
  { weight: 1, arbitrary: oddDelay },
);
const calls = ["add", "add", "addRateLimited", "forget", "succeed", "succeed", "fail"] as const;
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: fc.record({ do: fc.constantFrom(...calls), key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("addAfter" as const), key, ms: delay }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("tick" as const),
      ms: fc.integer({ max: 20, min: 0 }).map((n) => n * 250),
    }),
  },
);
const steps = fc.array(step, { maxLength: 60, size: "max" });

function assertEqualStates(model: Model, real: Running): void {
  assert.deepEqual(real.unexpected(), []);
  assert.deepEqual(real.begun, model.begun, "keys in the order in which their work began");
  assert.deepEqual(new Set(real.open.keys()), model.running);
  assert.equal(real.queue.depth, model.depth, "depth");
  assert.deepEqual(real.pending(), model.timers, "timers");
  for (const k of keys) assert.equal(real.queue.failures(k), model.failures.get(k) ?? 0, `failures of ${k}`);
  assert.equal(real.isDrained(), model.stopped && model.running.size === 0, "drained");
}

test("after any calls and outcomes of work a queue has begun the same keys in the same order as the model", async () => {
  await fc.assert(
    fc.asyncProperty(steps, steps, fc.integer({ min: 1, max: 3 }), async (before, after, workers) => {
      const model = new Model(workers);
      const real = startQueue(workers);
      for (const s of [...before, { do: "stop" } as const, ...after]) {
        apply(s, model, real);
        await settle();
        assertEqualStates(model, real);
      }
      for (const k of [...real.open.keys()]) real.end(k, true);
      await real.over;
    }),
    { numRuns: 400 },
  );
});

test("a key that is added before the stop is worked on afterwards, once work ends and time passes", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 3 }), async (taken, workers) => {
      const model = new Model(workers);
      const real = startQueue(workers);
      /** Runs of a key that had begun when it was last added. */
      const asked = new Map<string, number>();
      const runs = (k: string) => real.begun.filter((b) => b === k).length;
      for (const s of taken) {
        const asks = s.do === "add" || s.do === "addAfter" || s.do === "addRateLimited";
        if (asks || (s.do === "fail" && real.open.has(s.key))) asked.set(s.key, runs(s.key));
        apply(s, model, real);
        await settle();
      }
      for (let round = 0; real.open.size > 0 || real.pending().length > 0; round++) {
        assert.ok(round < 100 && real.unexpected().length === 0, `no end: ${real.unexpected().join("; ")}`);
        for (const k of [...real.open.keys()]) real.end(k, true);
        await settle();
        real.tick(longestTimerMs);
        await settle();
      }
      for (const [k, before] of asked) assert.ok(runs(k) > before, `${k} was asked for and did not come`);
      real.stop();
      await real.over;
    }),
    { numRuns: 200 },
  );
});

test("failures in a row wait twice as long each time, from the base up to the maximum, until they are forgotten", () => {
  const bounds = fc.record({
    base: fc.integer({ min: 1, max: 60_000 }),
    times: fc.integer({ min: 1, max: 10_000 }),
  });
  fc.assert(
    fc.property(bounds, fc.integer({ min: 2, max: 1_200 }), ({ base, times }, failures) => {
      const max = base * times;
      const { clock } = manualClock();
      const queue = new KeyedQueue({ clock, baseMs: base, maxMs: max });
      const waits = Array.from({ length: failures }, () => queue.addRateLimited("a"));
      assert.equal(waits[0], base);
      for (const [n, wait] of waits.slice(1).entries())
        assert.equal(wait, Math.min(max, 2 * (waits[n] ?? 0)));
      queue.forget("a");
      assert.equal(queue.addRateLimited("a"), base);
    }),
  );
});

test("a worker that always asks for NaN milliseconds works once a base delay and not in a busy loop", async () => {
  const { clock, tick } = manualClock();
  const queue = new KeyedQueue({ clock, baseMs, maxMs });
  const stopping = new AbortController();
  let runs = 0;
  const process = async (k: string) => {
    runs += 1;
    queue.forget(k);
    if (runs < 100) queue.addAfter(k, Number.NaN);
  };
  const over = queue.run({ workers: 1, process, onError: assert.fail, signal: stopping.signal });
  queue.add("a");
  for (let ms = 0; ms < 10 * baseMs; ms += 100) {
    await settle();
    tick(100);
  }
  assert.equal(runs, 11);
  stopping.abort();
  await over;
});
