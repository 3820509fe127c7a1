/** The longest delay of a timer of Node. It fires at once for a longer one. */
const longestTimerMs = 2 ** 31 - 1;

/** Milliseconds for which `bytes` keep a reader busy at `maxRate` bytes a second. */
export function readingMs(bytes: number, maxRate: number): number {
  return (bytes / maxRate) * 1000;
}

/**
 * Milliseconds to wait before the next HashKV. Each reads its member's whole database: after a member of `dbSize` bytes
 * was asked `agoMs` ago, the next is asked when `maxRate` bytes a second, on average, allow it.
 */
export function hashPauseMs(last: { dbSize: number; agoMs: number }, maxRate: number): number {
  const pause = Math.ceil(readingMs(last.dbSize, maxRate) - last.agoMs);
  return Math.min(Math.max(0, pause), longestTimerMs);
}
