import { setImmediate } from "node:timers/promises";

/** Milliseconds of steps between two turns of the event loop. */
const sliceMs = 20;

/**
 * Runs the steps to their result. Between slices of about 20 ms the event loop handles what is due, such as the renewal
 * of the Lease. Throws the signal's reason when it fires before the end.
 */
export async function runInSlices<T>(steps: Generator<void, T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    const end = performance.now() + sliceMs;
    do {
      const step = steps.next();
      if (step.done === true) return step.value;
    } while (performance.now() < end);
    await setImmediate();
    signal?.throwIfAborted();
  }
}

/** Runs the steps to their result, and blocks the event loop meanwhile. */
export function runAtOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
