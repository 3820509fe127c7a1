import { setTimeout } from "node:timers/promises";
import { backoffMs, halfJitter } from "../core/backoff.ts";
import { OperatorError } from "../core/errors.ts";
import type { Store } from "../store/store.ts";
import { framePlainBytes } from "./frames.ts";

/** A read fails after so many broken connections in a row, between which less than one frame arrived. */
const maxBreaksWithoutProgress = 5;

export interface StoredBytesOptions {
  signal: AbortSignal;
  /** Waits before the read goes on. Rejects when the signal fires. Absent: a timer. */
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * The bytes of a data object from `offset` on: `length` bytes, or all to its end. When the store fails in the middle for
 * a reason that may pass, the read goes on at the byte where it broke. So each byte is yielded once, in order, and the
 * digests and the decompressor behind need not begin again. Throws the store's error when it is permanent, when not one
 * byte arrived, or when the read broke too often without progress.
 */
export async function* storedBytes(
  store: Pick<Store, "get">,
  object: string,
  { offset, length }: { offset: number; length?: number },
  { signal, sleep = sleepUnlessAborted }: StoredBytesOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let count = 0;
  let breaks = 0;
  let countAtProgress = 0;
  for (;;) {
    const rest = {
      offset: offset + count,
      ...(length === undefined ? {} : { length: length - count }),
    };
    // The whole object is read without a range: only then a store compares its own checksum.
    const isWhole = rest.offset === 0 && length === undefined;
    try {
      for await (const chunk of store.get(object, isWhole ? { signal } : { signal, range: rest })) {
        count += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      if (signal.aborted || count === 0 || !mayPass(error)) throw error;
      if (count - countAtProgress >= framePlainBytes) {
        breaks = 0;
        countAtProgress = count;
      }
      breaks += 1;
      if (breaks >= maxBreaksWithoutProgress) throw error;
    }
    await sleep(halfJitter(backoffMs(breaks, { baseMs: 500, maxMs: 10_000 })), signal);
  }
}

/** Whether the rest of the object may be readable soon. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof OperatorError) || error.permanent) return false;
  return error.code === "Unreachable" || error.code === "Timeout" || error.code === "StoreFailed";
}

async function sleepUnlessAborted(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}
