import { OperatorError } from "../../core/errors.ts";

/** The verifications under way, by the key of their store, so that one can be stopped at once. */
export class RunningVerifications {
  readonly #running = new Map<string, AbortController>();

  /** The signal of a verification that begins. `end`: of one that has ended. */
  begin(key: string): { signal: AbortSignal; end: () => void } {
    const controller = new AbortController();
    this.#running.set(key, controller);
    return { signal: controller.signal, end: () => void this.#running.delete(key) };
  }

  stop(key: string, why: string): void {
    this.#running.get(key)?.abort(new OperatorError("Aborted", why));
  }
}
