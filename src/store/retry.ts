import { setTimeout } from "node:timers/promises";
import { backoffMs, fullJitter } from "../core/backoff.ts";
import { abortError, throwIfAborted } from "./interruptible.ts";

export interface RetryOptions {
  signal: AbortSignal;
  /** At most so many, the first included. */
  attempts: number;
  /** Whether another attempt may succeed. Other errors are thrown at once. */
  isTransient: (error: unknown) => boolean;
  /** Longest first wait, in milliseconds; it doubles with each further one (200). */
  baseMs?: number;
  /** Longest wait of all, in milliseconds (10,000). */
  maxMs?: number;
  /** In [0, 1). */
  random?: () => number;
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * The result of `operation`, which is tried again after transient errors, with exponential waits and full jitter.
 * Throws the last error, or the reason of the signal.
 */
export async function retry<T>(
  operation: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { signal, attempts, isTransient, baseMs = 200, maxMs = 10_000 } = options;
  const { random = Math.random, sleep = sleepUnlessAborted } = options;
  for (let attempt = 1; ; attempt += 1) {
    throwIfAborted(signal);
    try {
      return await operation(attempt);
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error;
      throwIfAborted(signal);
    }
    await sleep(fullJitter(backoffMs(attempt, { baseMs, maxMs }), random), signal);
  }
}

async function sleepUnlessAborted(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => {
    throw abortError(signal);
  });
}
