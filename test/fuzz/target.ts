import type { Random } from "../harness/random.ts";

/** A parser and the checks of its results. Inputs are bytes, so that each can be written to a file. */
export interface Target {
  name: string;
  /** Number of inputs in a test run. */
  testInputs: number;
  /** Inputs are readable text: the corpus holds them uncompressed. */
  isText: boolean;
  generate(random: Random): Uint8Array;
  /** Throws when a check fails on this input. */
  check(input: Uint8Array): void | Promise<void>;
}

/** Limits of the integer widths of the formats, and their neighbors. */
export const edgeNumbers = [
  0, 1, 2, 3, 7, 8, 15, 16, 17, 18, 31, 32, 33, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, 4095, 4096,
  32767, 32768, 32769, 65534, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
] as const;

/** One change of bytes without regard to the format: a flipped bit, an edge value, a range removed, inserted or copied. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const { length } = bytes;
  if (length === 0) return random.bytes(1 + random.below(16));
  const at = random.below(length);
  const size = Math.min(length - at, 1 + random.below(random.oneIn(4) ? length : 16));
  switch (random.below(8)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      bytes[at] = random.below(256);
      return bytes;
    case 2:
      bytes.fill(random.pick([0, 0xff, 0x80, 0x20]), at, at + size);
      return bytes;
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
    case 5:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(8)), bytes.subarray(at)]);
    case 6: {
      const from = random.below(length);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + size), bytes.subarray(at)]);
    }
    default:
      if (at + 4 <= length) bytes.writeUInt32LE(random.pick(edgeNumbers), at);
      return bytes;
  }
}

/** Splits bytes into chunks of random sizes. */
export function cutUp(bytes: Uint8Array, random: Random): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const most = random.pick([7, 513, 4096, 5000, 70_000, 300_000]);
  const least = Math.ceil(bytes.length / 400);
  for (let at = 0; at < bytes.length; ) {
    const size = least + random.below(most);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
