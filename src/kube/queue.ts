import { backoffMs } from "../core/backoff.ts";
import { FairLine } from "../core/fair-line.ts";

/** Monotonic milliseconds, and timers. */
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

/**
 * Node's longest timer. A key that is due later is worked on early once, which changes nothing for a level-driven
 * worker.
 */
const longestTimerMs = 2 ** 31 - 1;

export interface QueueOptions {
  /**
   * Milliseconds that addRateLimited waits after the first failure (1,000); doubled each time up to `maxMs` (300,000).
   */
  baseMs?: number;
  maxMs?: number;
  clock?: Clock;
  /** The group of a key, such as its namespace. Groups take turns. Absent: all keys are of one group. */
  groupOf?: (key: string) => string;
}

export interface RunOptions {
  workers: number;
  /**
   * Workers that one group may occupy at a time; absent: all. With a smaller number than `workers`, keys whose work
   * hangs do not delay the keys of another group.
   */
  workersPerGroup?: number;
  /**
   * Milliseconds after which the work on a key no longer occupies one of `workers`; absent: never. It still occupies one
   * of `workersPerGroup`, which bounds the work of a group. So hanging work of any number of groups delays the others
   * and does not keep them from a worker.
   */
  slowMs?: number;
  /**
   * Works on one key, and adds it again when there is more to do. When it throws, `onError` and addRateLimited follow.
   */
  process: (key: string, signal: AbortSignal) => Promise<void>;
  onError: (key: string, error: unknown) => void;
  signal: AbortSignal;
}

/**
 * Keys that wait for a worker. The keys of one group are first in, first out, and the groups take turns. A key that is
 * added several times waits once. It is never worked on twice at the same time; a key that is added during its work is
 * worked on again afterwards.
 */
export class KeyedQueue {
  readonly #backoff: { baseMs: number; maxMs: number };
  readonly #clock: Clock;
  readonly #groupOf: (key: string) => string;
  readonly #ready: FairLine;
  readonly #running = new Set<string>();
  /** Workers that each group occupies. */
  readonly #occupied = new Map<string, number>();
  /** Keys whose work no longer occupies one of the workers. */
  readonly #slow = new Set<string>();
  /** Keys that were added while they were worked on. */
  readonly #addedMeanwhile = new Set<string>();
  readonly #delayed = new Map<string, { due: number; timer: unknown }>();
  readonly #failures = new Map<string, number>();
  readonly #drained = Promise.withResolvers<void>();
  #run: RunOptions | undefined;
  #stopped = false;

  constructor(options: QueueOptions = {}) {
    const { baseMs = 1_000, maxMs = 300_000, clock = systemClock, groupOf = () => "" } = options;
    this.#groupOf = groupOf;
    this.#ready = new FairLine(groupOf);
    this.#backoff = { baseMs, maxMs };
    this.#clock = clock;
  }

  /** Keys that wait for a worker, without those that are delayed. */
  get depth(): number {
    return this.#ready.size + this.#addedMeanwhile.size;
  }

  add(key: string): void {
    if (this.#running.has(key)) this.#addedMeanwhile.add(key);
    else this.#ready.add(key);
    this.#startWork();
  }

  /**
   * Adds the key after `ms`, at once when that is 0 or less. Of several delays the one that ends first counts; `add`
   * does not cancel it. NaN, an error of the caller, waits the base delay: Node would wait 1 ms, a busy loop.
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

  /** Resets the failures of a key that succeeded: the next one waits the base delay again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /**
   * Works on keys until the signal fires, then starts no more and resolves when the last `process` has ended. Keys that
   * are added later are kept and not worked on. A queue runs once.
   */
  async run(options: RunOptions): Promise<void> {
    if (this.#run !== undefined) throw new Error("a queue runs once");
    this.#run = options;
    if (options.signal.aborted) this.#stop();
    else options.signal.addEventListener("abort", () => this.#stop(), { once: true });
    this.#startWork();
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

  #startWork(): void {
    const run = this.#run;
    if (run === undefined || this.#stopped) return;
    const { workers, workersPerGroup = workers } = run;
    while (this.#running.size - this.#slow.size < workers) {
      const key = this.#ready.take((group) => (this.#occupied.get(group) ?? 0) < workersPerGroup);
      if (key === undefined) return;
      this.#running.add(key);
      this.#occupy(key, 1);
      void this.#work(key, run);
    }
  }

  #occupy(key: string, change: 1 | -1): void {
    const group = this.#groupOf(key);
    const count = (this.#occupied.get(group) ?? 0) + change;
    if (count === 0) this.#occupied.delete(group);
    else this.#occupied.set(group, count);
  }

  #freeWorkerOf(key: string): void {
    this.#slow.add(key);
    this.#startWork();
  }

  async #work(key: string, { process, onError, signal, slowMs }: RunOptions): Promise<void> {
    const slow =
      slowMs === undefined ? undefined : this.#clock.setTimer(() => this.#freeWorkerOf(key), slowMs);
    try {
      await process(key, signal);
    } catch (error) {
      onError(key, error);
      this.addRateLimited(key);
    }
    if (slow !== undefined) this.#clock.clearTimer(slow);
    this.#slow.delete(key);
    this.#running.delete(key);
    this.#occupy(key, -1);
    if (this.#addedMeanwhile.delete(key)) this.#ready.add(key);
    this.#startWork();
    if (this.#stopped && this.#running.size === 0) this.#drained.resolve();
  }
}
