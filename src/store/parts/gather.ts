import { interruptible } from "../interruptible.ts";
import type { PartBuffers } from "./buffers.ts";

/** A piece of an object. Whoever takes it releases `buffer`, of which `bytes` is a view. */
export interface Part {
  /** From 1. */
  number: number;
  bytes: Buffer;
  buffer: Buffer;
  last: boolean;
}

/**
 * Cuts chunks of any size into parts of `partSizeAt(number)` bytes; only the last is shorter, and only the first may
 * be empty. Each byte is copied once. A part is given when the first byte after it, or the end, has been seen: so the
 * first one says whether there are others.
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
    const taken = buffer;
    buffer = undefined;
    return { number, bytes: taken.subarray(0, filled), buffer: taken, last };
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
        const taken = Math.min(chunk.length - offset, size - filled);
        buffer?.set(chunk.subarray(offset, offset + taken), filled);
        filled += taken;
        offset += taken;
      }
    }
    yield part(true);
  } finally {
    if (buffer !== undefined) buffers.release(buffer);
  }
}

/** Parts that S3 allows in one upload. */
const mostParts = 10_000;

/**
 * The size of part `number`: `base` for the first 5,000, then double after each further 1,000. With 8 MiB that is
 * constant memory up to 40 GiB, and room for more than 500 GiB of unknown length.
 */
export function growingPartSize(base: number): (number: number) => number {
  return (number) => {
    if (number > mostParts) throw new Error(`more than ${mostParts} parts`);
    return number <= 5_000 ? base : base * 2 ** Math.ceil((number - 5_000) / 1_000);
  };
}
