export interface BackoffOptions {
  /** Delay after the first failure. */
  baseMs: number;
  maxMs: number;
}

/** Milliseconds to wait after `failures` failures in a row (1 or more): doubled each time, up to the maximum. */
export function backoffMs(failures: number, { baseMs, maxMs }: BackoffOptions): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 52));
}

/** Between half and all of `ms`, so that clients which failed together do not come back together. */
export function jittered(ms: number, random: () => number = Math.random): number {
  return ms * (0.5 + random() / 2);
}
