import timers from "node:timers/promises";
import type { SnapshotSource } from "./source.ts";

/**
 * The source, read at most at `maxRate` bytes a second. Unused rate is not saved up: after a pause of the store the
 * member is not read faster.
 */
export function throttled(
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
