import { OperatorError } from "../core/errors.ts";
import type { GetOptions, Store } from "../store/store.ts";

/** A store with one object whose reads break off. */
export interface BreakingStore extends Pick<Store, "get"> {
  /** The ranges of the reads so far. */
  readonly ranges: GetOptions["range"][];
}

/** Read number i throws `error` after `after[i]` bytes; the reads after those are whole. */
export function breakingStore(
  bytes: Buffer,
  after: readonly number[],
  error: Error = new OperatorError("Unreachable", "the connection broke"),
): BreakingStore {
  const ranges: GetOptions["range"][] = [];
  return {
    ranges,
    async *get(_, { range }) {
      const limit = after[ranges.push(range) - 1];
      const offset = range?.offset ?? 0;
      const end = range?.length === undefined ? bytes.length : offset + range.length;
      const last = limit === undefined ? end : Math.min(end, offset + limit);
      for (let at = offset; at < last; at += 1000) yield bytes.subarray(at, Math.min(last, at + 1000));
      if (limit !== undefined) throw error;
    },
  };
}
