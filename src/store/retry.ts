import { setTimeout } from "node:timers/promises";
import { abortError, throwIfAborted } from "./interruptible.ts";

export interface RetryOptions {
  signal: AbortSignal;
  /** How often at most, the first time included. */
  attempts: number;
  /** Whether the same request may succeed a moment later. Everything else is thrown at once. */
  isTransient: (error: unknown) => boolean;
  /** Longest first wait; doubles with each further one. Milliseconds. */
  baseMs?: number;
  /** Longest wait of all. Milliseconds. */
  capMs?: number;
  /** In [0, 1). */
  random?: () => number;
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * The result of `operation`, tried again after transient errors with exponential waits and full jitter, so that
 * clients which failed together do not come back together. Throws the last error, or why the signal fired.
 */
export async function retry<T>(
  operation: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { signal, attempts, isTransient, random = Math.random, sleep = sleepUnlessAborted } = options;
  for (let attempt = 1; ; attempt += 1) {
    throwIfAborted(signal);
    try {
      return await operation(attempt);
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error;
      throwIfAborted(signal);
    }
    await sleep(random() * longestWait(attempt, options), signal);
  }
}

function longestWait(attempt: number, { baseMs = 200, capMs = 10_000 }: RetryOptions): number {
  return Math.min(capMs, baseMs * 2 ** (attempt - 1));
}

async function sleepUnlessAborted(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => {
    throw abortError(signal);
  });
}
