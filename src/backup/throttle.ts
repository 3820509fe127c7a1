import timers from "node:timers/promises";
import type { SnapshotSource } from "./transfer.ts";

/**
 * The source, read no faster than `maxRate` bytes a second. Time in which nobody asked for bytes is not saved up: a
 * store that was slow for a while is not made up for at the member's expense.
 */
export function paced(
  source: SnapshotSource,
  options: { maxRate: number | undefined; signal: AbortSignal; clock?: () => number },
): SnapshotSource {
  const { maxRate, signal, clock = () => performance.now() } = options;
  if (maxRate === undefined) return source;
  return { totalBytes: source.totalBytes, chunks: slowed(source.chunks, { maxRate, signal, clock }) };
}

async function* slowed(
  chunks: AsyncIterable<Uint8Array>,
  { maxRate, signal, clock }: { maxRate: number; signal: AbortSignal; clock: () => number },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    const due = clock() + (chunk.length / maxRate) * 1000;
    yield chunk;
    const early = due - clock();
    if (early > 0) await timers.setTimeout(early, undefined, { signal });
  }
}
