export interface BackoffOptions {
  /** Milliseconds after the first failure. */
  baseMs: number;
  maxMs: number;
}

/** Milliseconds to wait after `failures` failures in a row (1 or more): doubled each time, at most `maxMs`. */
export function backoffMs(failures: number, { baseMs, maxMs }: BackoffOptions): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 52));
}

/** Between nothing and all of `ms`: spreads many clients that failed together as far as possible. */
export function fullJitter(ms: number, random: () => number = Math.random): number {
  return ms * random();
}

/** Between half and all of `ms`: spreads clients that failed together, and none of them retries at once. */
export function halfJitter(ms: number, random: () => number = Math.random): number {
  return ms * (0.5 + random() / 2);
}
