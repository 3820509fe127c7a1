import { OperatorError, asOperatorError } from "../../core/errors.ts";

/** Milliseconds since some start, never set back; it has to go on while the process is stopped or the machine sleeps. */
export interface FenceClock {
  now(): number;
}

/**
 * Says whether this process may still act. It closes by itself when the time it was given is up, and a process that was
 * stopped for longer than that finds it closed at its first act: `check` looks at the clock, not at a timer's firing.
 */
export class Fence {
  readonly #clock: FenceClock;
  readonly #closed = new AbortController();
  #until: number;
  #timer: NodeJS.Timeout | undefined;

  /** `until` on the clock; Infinity for one that only `close` closes. */
  constructor(options: { until: number; clock: FenceClock }) {
    this.#clock = options.clock;
    this.#until = options.until;
    this.#arm();
  }

  /** Fires when it closes, at the latest a timer's delay after the time was up. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Undefined while it is open. */
  get closedWhy(): string | undefined {
    return this.signal.aborted ? asOperatorError(this.signal.reason).message : undefined;
  }

  /** Throws Aborted once it is closed. Call it right before whatever two at once must not do. */
  check(): void {
    if (!this.signal.aborted && this.#clock.now() >= this.#until) {
      this.close("the lease could not be renewed in time");
    }
    this.signal.throwIfAborted();
  }

  /** More time, unless it is up already: closed is closed. */
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
    const look = () => {
      if (this.#clock.now() < this.#until) this.#arm();
      else this.close("the lease could not be renewed in time");
    };
    this.#timer = setTimeout(look, Math.max(1, this.#until - this.#clock.now()));
  }
}
