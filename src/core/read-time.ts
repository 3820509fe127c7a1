import { OperatorError } from "./errors.ts";
import { readingMs } from "./etcd/hash-pace.ts";
import { bytes, duration } from "./human.ts";

/** The time limit of a whole save, and what the user calls it and the rate. */
export interface TimeLimit {
  ms: number;
  timeoutName: string;
  rateName: string;
}

/**
 * Throws a permanent InvalidConfiguration when a read of `count` bytes at `maxRate` bytes a second takes longer than the
 * whole limit: every attempt would only wait for its deadline. `what`: the read, as the object of "reading".
 */
export function checkReadTime(
  count: number,
  { maxRate, timeLimit }: { maxRate?: number; timeLimit?: TimeLimit },
  { what, hint = "" }: { what: string; hint?: string },
): void {
  if (maxRate === undefined || timeLimit === undefined) return;
  const takesMs = readingMs(count, maxRate);
  if (takesMs <= timeLimit.ms) return;
  const { timeoutName, rateName } = timeLimit;
  throw new OperatorError(
    "InvalidConfiguration",
    `reading ${what} (${bytes(count)}) at ${bytes(maxRate)} a second (${rateName}) takes ${duration(takesMs)}, longer than the ${duration(timeLimit.ms)} of ${timeoutName}`,
    { hint: `raise ${rateName} or ${timeoutName}${hint}` },
  );
}
