import { OperatorError, asOperatorError } from "../../core/errors.ts";

/** Monotonic milliseconds that also count the time in which the process is stopped or the machine sleeps. */
export interface FenceClock {
  now(): number;
}

/**
 * Whether this process may still act as the leader. A fence closes by itself at its deadline. `check` reads the clock
 * instead of relying on a timer: so a process that was stopped beyond the deadline cannot act once more.
 */
export class Fence {
  readonly #clock: FenceClock;
  readonly #closed = new AbortController();
  #until: number;
  #timer: NodeJS.Timeout | undefined;

  /** `until` is the deadline by the clock; with Infinity only `close` closes the fence. */
  constructor(options: { until: number; clock: FenceClock }) {
    this.#clock = options.clock;
    this.#until = options.until;
    this.#arm();
  }

  /** Fires when the fence closes, at the latest a timer's delay after the deadline. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Undefined while the fence is open. */
  get closedWhy(): string | undefined {
    return this.signal.aborted ? asOperatorError(this.signal.reason).message : undefined;
  }

  /** Throws Aborted when the fence is closed. Call it right before each act that only one process may do at a time. */
  check(): void {
    if (!this.signal.aborted && this.#clock.now() >= this.#until) {
      this.close("the Lease could not be renewed in time");
    }
    this.signal.throwIfAborted();
  }

  /** Moves the deadline, never to an earlier time. Throws Aborted when the fence is closed: it does not open again. */
  extend(until: number): void {
    this.check();
    this.#until = Math.max(this.#until, until);
    this.#arm();
  }

  close(why: string): void {
    clearTimeout(this.#timer);
    this.#closed.abort(new OperatorError("Aborted", why));
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#until === Number.POSITIVE_INFINITY) return;
    const onTimer = () => {
      if (this.#clock.now() < this.#until) this.#arm();
      else this.close("the Lease could not be renewed in time");
    };
    this.#timer = setTimeout(onTimer, Math.max(1, this.#until - this.#clock.now()));
  }
}
