import { crc32c } from "@node-rs/crc32";

/** The longest value that an arena takes, in bytes. A key has at most 255. */
export const maxValueBytes = 65536;
const chunkSize = 256 * 1024;
const headerSize = 4;
/** Pairs of more bytes than this are hashed by native code, shorter ones here: the call costs more than the bytes. */
const shortSize = 256;
/** Pairs in the index. A full index is emptied, which bounds its memory; pairs added before are then stored again. */
const maxIndexed = 65536;

export interface RetainedPair {
  key: Buffer;
  value: Buffer;
}

/**
 * Stores key-value pairs by address: a number above 0 and below 2^32. A pair takes its own bytes and four more, and
 * a pair that is in the index already takes none.
 */
export class PairArena {
  readonly #chunks: Buffer[] = [Buffer.allocUnsafe(chunkSize)];
  /** Bytes used of the last chunk. Address 0 stays unused: it means "no pair". */
  #used = headerSize;
  /** From checksum and length to the pair's address. */
  readonly #index = new Map<number, number>();

  /** The address of an equal pair in the index, or 0. */
  find(key: Uint8Array, value: Uint8Array): number {
    return this.#find(sumOf(key, value), key, value);
  }

  /** Copies the pair unless the index holds an equal one. Returns its address, or 0 when the arena holds 4 GiB. */
  add(key: Uint8Array, value: Uint8Array): number {
    const sum = sumOf(key, value);
    const equal = this.#find(sum, key, value);
    if (equal !== 0) return equal;
    const size = sizeOf(key, value);
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || this.#used + size > chunkSize) {
      chunk = Buffer.allocUnsafe(chunkSize);
      this.#chunks.push(chunk);
      this.#used = 0;
    }
    const address = (this.#chunks.length - 1) * chunkSize + this.#used;
    if (address >= 2 ** 32) return 0;
    chunk.writeUInt32LE(key.length + 256 * value.length, this.#used);
    chunk.set(key, this.#used + headerSize);
    chunk.set(value, this.#used + headerSize + key.length);
    this.#used += size;
    if (this.#index.size === maxIndexed) this.#index.clear();
    this.#index.set(sum, address);
    return address;
  }

  /** The pair at `address`, as views of the arena's own memory. */
  get(address: number): RetainedPair {
    const chunk = this.#chunks[Math.floor(address / chunkSize)] ?? Buffer.alloc(headerSize);
    const at = address % chunkSize;
    const sizes = chunk.readUInt32LE(at);
    const valueAt = at + headerSize + (sizes % 256);
    return {
      key: chunk.subarray(at + headerSize, valueAt),
      value: chunk.subarray(valueAt, valueAt + Math.floor(sizes / 256)),
    };
  }

  #find(sum: number, key: Uint8Array, value: Uint8Array): number {
    const address = this.#index.get(sum);
    if (address === undefined) return 0;
    const pair = this.get(address);
    return Buffer.compare(pair.key, key) === 0 && Buffer.compare(pair.value, value) === 0 ? address : 0;
  }
}

/** Bytes that an arena takes for a pair. */
export function sizeOf(key: Uint8Array, value: Uint8Array): number {
  return headerSize + key.length + value.length;
}

/** Checksum of key and value (FNV-1a, or CRC-32C above `shortSize`) in the high bits, length in the low 21 bits. */
function sumOf(key: Uint8Array, value: Uint8Array): number {
  const size = key.length + value.length;
  const sum = size > shortSize ? crc32c(value, crc32c(key)) : fnv1a(value, fnv1a(key, 0x811c9dc5)) >>> 0;
  return sum * 2097152 + size;
}

function fnv1a(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum = Math.imul(sum ^ (bytes[i] ?? 0), 0x01000193);
  return sum;
}
