import { backoffMs } from "../core/backoff.ts";

/** Monotonic milliseconds and timers; tests give their own. */
export interface Clock {
  now(): number;
  setTimer(run: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}

const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** Node's longest timer. A key that is due later comes early once, which a level-driven worker does not mind. */
const longestTimerMs = 2 ** 31 - 1;

export interface QueueOptions {
  /** Delay of addRateLimited after the first failure; doubled each time. */
  baseMs?: number;
  maxMs?: number;
  clock?: Clock;
}

export interface RunOptions {
  workers: number;
  /** Work on one key; adds the key again itself when there is more to do. A throw is `onError` and addRateLimited. */
  process: (key: string, signal: AbortSignal) => Promise<void>;
  onError: (key: string, error: unknown) => void;
  signal: AbortSignal;
}

/**
 * Keys that want attention, in the order in which they came. A key waits once however often it is added, is worked on
 * once at a time, and when it is added meanwhile it comes again afterwards.
 */
export class KeyedQueue {
  readonly #backoff: { baseMs: number; maxMs: number };
  readonly #clock: Clock;
  readonly #ready = new Set<string>();
  readonly #running = new Set<string>();
  /** Added while they were running. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, { due: number; timer: unknown }>();
  readonly #failures = new Map<string, number>();
  readonly #drained = Promise.withResolvers<void>();
  #run: RunOptions | undefined;
  #stopped = false;

  constructor({ baseMs = 1_000, maxMs = 300_000, clock = systemClock }: QueueOptions = {}) {
    this.#backoff = { baseMs, maxMs };
    this.#clock = clock;
  }

  /** Keys that wait for a worker now. */
  get depth(): number {
    return this.#ready.size + this.#again.size;
  }

  add(key: string): void {
    if (this.#running.has(key)) this.#again.add(key);
    else this.#ready.add(key);
    this.#pump();
  }

  /**
   * Adds the key in `ms`, at once when it is 0 or less. Of several delays the one that ends first counts; an add
   * meanwhile does not cancel it. NaN, a caller's mistake, waits the base delay: Node takes it for 1 ms, and "at once"
   * would be as hot a loop.
   */
  addAfter(key: string, ms: number): void {
    if (ms <= 0 || this.#stopped) {
      this.add(key);
      return;
    }
    const wait = Math.min(Number.isNaN(ms) ? this.#backoff.baseMs : ms, longestTimerMs);
    const due = this.#clock.now() + wait;
    const pending = this.#delayed.get(key);
    if (pending !== undefined && pending.due <= due) return;
    if (pending !== undefined) this.#clock.clearTimer(pending.timer);
    const fire = () => {
      this.#delayed.delete(key);
      this.add(key);
    };
    this.#delayed.set(key, { due, timer: this.#clock.setTimer(fire, wait) });
  }

  /** Adds the key after a delay that doubles with each call until `forget`. Returns the delay. */
  addRateLimited(key: string): number {
    const failures = this.failures(key) + 1;
    this.#failures.set(key, failures);
    const ms = backoffMs(failures, this.#backoff);
    this.addAfter(key, ms);
    return ms;
  }

  /** Calls of addRateLimited since the last `forget`. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The key did well: its next failure waits the base delay again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /**
   * Works on keys until the signal fires, then starts no more and resolves when the last `process` has ended.
   * What is added later is kept and never worked on: a queue runs once.
   */
  async run(options: RunOptions): Promise<void> {
    if (this.#run !== undefined) throw new Error("a queue runs once");
    this.#run = options;
    if (options.signal.aborted) this.#stop();
    else options.signal.addEventListener("abort", () => this.#stop(), { once: true });
    this.#pump();
    await this.#drained.promise;
  }

  #stop(): void {
    this.#stopped = true;
    for (const [key, { timer }] of this.#delayed) {
      this.#clock.clearTimer(timer);
      this.add(key);
    }
    this.#delayed.clear();
    if (this.#running.size === 0) this.#drained.resolve();
  }

  #pump(): void {
    const run = this.#run;
    if (run === undefined || this.#stopped) return;
    for (const key of this.#ready) {
      if (this.#running.size >= run.workers) return;
      this.#ready.delete(key);
      this.#running.add(key);
      void this.#work(key, run);
    }
  }

  async #work(key: string, { process, onError, signal }: RunOptions): Promise<void> {
    try {
      await process(key, signal);
    } catch (error) {
      onError(key, error);
      this.addRateLimited(key);
    }
    this.#running.delete(key);
    if (this.#again.delete(key)) this.#ready.add(key);
    this.#pump();
    if (this.#stopped && this.#running.size === 0) this.#drained.resolve();
  }
}
