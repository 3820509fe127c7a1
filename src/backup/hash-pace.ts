import timers from "node:timers/promises";
import { hashPauseMs } from "../core/etcd/hash-pace.ts";
import type { SaveStep } from "./progress.ts";

/** Waits until the member with a database of `dbSize` bytes may be asked for its HashKV. */
export type HashPace = (member: string, dbSize: number) => Promise<void>;

/** Spaces the HashKV of one comparison by `maxRate` bytes a second. The first member is asked at once. */
export function hashPace(options: {
  maxRate?: number;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
  clock?: () => number;
}): HashPace {
  const { maxRate, signal, onStep, clock = () => performance.now() } = options;
  if (maxRate === undefined) return async () => {};
  let last: { dbSize: number; at: number } | undefined;
  return async (member, dbSize) => {
    const ms =
      last === undefined ? 0 : hashPauseMs({ dbSize: last.dbSize, agoMs: clock() - last.at }, maxRate);
    if (ms > 0) {
      onStep?.({ step: "HashPause", member, ms });
      await timers.setTimeout(ms, undefined, { signal });
    }
    last = { dbSize, at: clock() };
  };
}
