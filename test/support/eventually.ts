import { setTimeout as delay } from "node:timers/promises";

const pollMs = 50;
const retryMs = 500;
/** The longest that a single check of a condition may take. */
const checkSeconds = 60;

/**
 * Checks `condition` until it is true. Throws an error that names `what` when `seconds` are over or when a single
 * check takes longer than a minute. An error of `condition` is passed on.
 */
export async function eventually(
  what: string,
  condition: () => Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await within(what, condition(), checkSeconds))) {
    if (performance.now() >= end) throw new Error(`not within ${seconds} s: ${what}`);
    await delay(pollMs);
  }
}

/** Calls `attempt` until it resolves. After `seconds` throws an error that names `what`, with the last failure as cause. */
export async function retry<T>(what: string, attempt: () => Promise<T>, seconds: number): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    try {
      return await within(what, attempt(), Math.max(1, (end - performance.now()) / 1000));
    } catch (error) {
      if (performance.now() >= end) throw new Error(`not within ${seconds} s: ${what}`, { cause: error });
    }
    await delay(retryMs);
  }
}

/** Resolves with `work`. Throws an error that names `what` when that takes longer than `seconds`; `work` is not stopped. */
export async function within<T>(what: string, work: Promise<T>, seconds: number): Promise<T> {
  const timer = new AbortController();
  const timeout = async (): Promise<never> => {
    await delay(seconds * 1000, undefined, { signal: timer.signal });
    throw new Error(`not within ${seconds} s: ${what}`);
  };
  try {
    return await Promise.race([work, timeout()]);
  } finally {
    timer.abort();
  }
}
