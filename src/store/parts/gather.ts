import { interruptible } from "../interruptible.ts";
import type { PartBuffers } from "./buffers.ts";

/** A part of an object. Its receiver releases `buffer`, of which `bytes` is a view. */
export interface Part {
  /** Counted from 1. */
  number: number;
  bytes: Buffer;
  buffer: Buffer;
  last: boolean;
}

/**
 * Cuts chunks of any size into parts of `partSizeAt(number)` bytes. Only the last part is shorter, and only the first
 * may be empty. Each byte is copied once. A part is yielded after the first byte that follows it or the end has been
 * read: so the first part tells whether there are others.
 */
export async function* gatherParts(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: { buffers: PartBuffers; partSizeAt: (number: number) => number; signal: AbortSignal },
): AsyncGenerator<Part, void, undefined> {
  const { buffers, partSizeAt, signal } = options;
  let number = 1;
  let size = partSizeAt(number);
  let buffer: Buffer | undefined = await buffers.acquire(size, signal);
  let filled = 0;
  const part = (last: boolean): Part => {
    if (buffer === undefined) throw new Error("a part without a buffer");
    const full = buffer;
    buffer = undefined;
    return { number, bytes: full.subarray(0, filled), buffer: full, last };
  };
  try {
    for await (const chunk of interruptible(source, signal)) {
      for (let offset = 0; offset < chunk.length; ) {
        if (filled === size) {
          yield part(false);
          number += 1;
          size = partSizeAt(number);
          filled = 0;
          buffer = await buffers.acquire(size, signal);
        }
        const copied = Math.min(chunk.length - offset, size - filled);
        buffer?.set(chunk.subarray(offset, offset + copied), filled);
        filled += copied;
        offset += copied;
      }
    }
    yield part(true);
  } finally {
    if (buffer !== undefined) buffers.release(buffer);
  }
}

/** The number of parts that S3 allows in one upload. */
const maxParts = 10_000;

/**
 * The size of part `number`: `base` bytes for the first 5,000 parts, then doubled after each further 1,000. With 8 MiB
 * memory is constant up to 40 GiB, and an object of unknown length may exceed 500 GiB.
 */
export function growingPartSize(base: number): (number: number) => number {
  return (number) => {
    if (number > maxParts) throw new Error(`more than ${maxParts} parts`);
    return number <= 5_000 ? base : base * 2 ** Math.ceil((number - 5_000) / 1_000);
  };
}
