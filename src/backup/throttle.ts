import timers from "node:timers/promises";
import type { Store } from "../store/store.ts";
import type { SnapshotSource } from "./source.ts";

/**
 * The same source, read at `maxRate` bytes a second at most. Unused rate is not saved up: after the store paused, the
 * member is not read any faster.
 */
export function throttled(
  source: SnapshotSource,
  options: { maxRate: number | undefined; signal: AbortSignal; clock?: () => number },
): SnapshotSource {
  const { maxRate, signal, clock = () => performance.now() } = options;
  if (maxRate === undefined) return source;
  return { totalBytes: source.totalBytes, chunks: slowed(source.chunks, { maxRate, signal, clock }) };
}

/** The same store, of which each object is read at `maxRate` bytes a second at most. */
export function throttledReads(
  store: Pick<Store, "get">,
  { maxRate, signal }: { maxRate: number | undefined; signal: AbortSignal },
): Pick<Store, "get"> {
  if (maxRate === undefined) return store;
  const clock = () => performance.now();
  return { get: (name, options) => slowed(store.get(name, options), { maxRate, signal, clock }) };
}

async function* slowed(
  chunks: AsyncIterable<Uint8Array>,
  { maxRate, signal, clock }: { maxRate: number; signal: AbortSignal; clock: () => number },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    const nextReadAt = clock() + (chunk.length / maxRate) * 1000;
    yield chunk;
    const waitMs = nextReadAt - clock();
    if (waitMs > 0) await timers.setTimeout(waitMs, undefined, { signal });
  }
}
