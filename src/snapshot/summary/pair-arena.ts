import { crc32c } from "@node-rs/crc32";

/** The longest key and value that a list takes. */
export const maxListedKey = 255;
export const maxListedValue = 65536;
const chunkSize = 256 * 1024;
const headerSize = 4;
const shortSize = 256;
/** Pairs that are looked for among those before; then the search starts anew, so that the index stays small. */
const maxKnown = 65536;

export interface KeptPair {
  key: Buffer;
  value: Buffer;
}

/**
 * Pairs by their places: numbers above 0 and below 2^32. Each takes its own bytes and four more, and a pair that is
 * added again soon enough takes none.
 */
export class PairList {
  readonly #chunks: Buffer[] = [Buffer.allocUnsafe(chunkSize)];
  /** Place 0 is no pair's. */
  #used = headerSize;
  /** By checksum and length: the pairs' places. */
  readonly #known = new Map<number, number>();

  /** The place of an equal pair, or 0. */
  find(key: Uint8Array, value: Uint8Array): number {
    return this.#find(sumOf(key, value), key, value);
  }

  /** The place of an equal pair, or of this one, whose bytes are copied. Returns 0 when 4 GiB are taken. */
  add(key: Uint8Array, value: Uint8Array): number {
    const sum = sumOf(key, value);
    const known = this.#find(sum, key, value);
    if (known !== 0) return known;
    const size = sizeOf(key, value);
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || this.#used + size > chunkSize) {
      chunk = Buffer.allocUnsafe(chunkSize);
      this.#chunks.push(chunk);
      this.#used = 0;
    }
    const place = (this.#chunks.length - 1) * chunkSize + this.#used;
    if (place >= 2 ** 32) return 0;
    chunk.writeUInt32LE(key.length + 256 * value.length, this.#used);
    chunk.set(key, this.#used + headerSize);
    chunk.set(value, this.#used + headerSize + key.length);
    this.#used += size;
    if (this.#known.size === maxKnown) this.#known.clear();
    this.#known.set(sum, place);
    return place;
  }

  /** Its bytes belong to the list. */
  get(place: number): KeptPair {
    const chunk = this.#chunks[Math.floor(place / chunkSize)] ?? Buffer.alloc(headerSize);
    const at = place % chunkSize;
    const sizes = chunk.readUInt32LE(at);
    const valueAt = at + headerSize + (sizes % 256);
    return {
      key: chunk.subarray(at + headerSize, valueAt),
      value: chunk.subarray(valueAt, valueAt + Math.floor(sizes / 256)),
    };
  }

  #find(sum: number, key: Uint8Array, value: Uint8Array): number {
    const place = this.#known.get(sum);
    if (place === undefined) return 0;
    const pair = this.get(place);
    return Buffer.compare(pair.key, key) === 0 && Buffer.compare(pair.value, value) === 0 ? place : 0;
  }
}

/** Bytes that a list takes for a pair. */
export function sizeOf(key: Uint8Array, value: Uint8Array): number {
  return headerSize + key.length + value.length;
}

/** Of key, value and length. Short ones are summed here (FNV-1a), which takes less time than to ask native code. */
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
