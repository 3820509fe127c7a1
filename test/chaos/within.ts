import { setTimeout as delay } from "node:timers/promises";

/** What `work` resolves to; throws an error that names what was waited for when that takes longer. */
export async function within<T>(what: string, seconds: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = async (): Promise<never> => {
    await delay(seconds * 1000, undefined, { signal: timer.signal });
    throw new Error(`not within ${seconds} s: ${what}`);
  };
  try {
    return await Promise.race([work, late()]);
  } finally {
    timer.abort();
  }
}

/** Tries until it comes about; servers may be down meanwhile. Throws the last failure when the time is over. */
export async function persistently<T>(what: string, seconds: number, attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    try {
      return await within(what, Math.max(1, (end - performance.now()) / 1000), attempt());
    } catch (error) {
      if (performance.now() >= end) throw new Error(`not within ${seconds} s: ${what}`, { cause: error });
    }
    await delay(500);
  }
}
