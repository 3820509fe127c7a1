/** What the next byte belongs to. */
const atTag = 0;
const inTag = 1;
const inVarint = 2;
const inLength = 3;
const inKey = 4;
const inBytes = 5;

/** The highest field number of protobuf. */
const maxField = 2 ** 29 - 1;
const bytesField = 2;
const varintField = 0;
/** The wire type of each field of mvccpb.KeyValue: key, create_revision, mod_revision, version, value, lease. */
const wireTypes = [-1, bytesField, varintField, varintField, varintField, bytesField, varintField];

/**
 * Parses one mvccpb.KeyValue from chunks, holds none of its bytes, and hashes its user key to 64 bits. As in Go's
 * Unmarshal, a missing key is the empty key, the last of several keys counts, and unknown fields are skipped.
 *
 * The hash is two 32-bit multiply-and-rotate lanes, each with murmur3's final mix. It does not withstand keys that
 * were made to collide.
 */
export class KeyValueScan {
  /** The two halves of the user key's hash; valid after `finish`. */
  low = 0;
  high = 0;
  #state = atTag;
  #failed = false;
  #isKey = false;
  #number = 0;
  #digits = 0;
  #factor = 1;
  #left = 0;
  #a = 0;
  #b = 0;
  #size = 0;

  begin(): void {
    this.#state = atTag;
    this.#failed = false;
    this.#startKey();
  }

  feed(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to && !this.#failed) {
      if (this.#state === inBytes) {
        const part = Math.min(to - at, this.#left);
        at += part;
        this.#left -= part;
        if (this.#left === 0) this.#state = atTag;
      } else if (this.#state === inKey) {
        at += this.#hash(bytes, at, Math.min(to - at, this.#left));
      } else {
        this.#digit(bytes[at++] ?? 0);
      }
    }
  }

  /** Returns whether the bytes were one whole KeyValue. */
  finish(): boolean {
    this.low = mix(this.#a ^ this.#size);
    this.high = mix(this.#b + Math.imul(this.low, 0x9e3779b1));
    return !this.#failed && this.#state === atTag;
  }

  /** Reads one byte of a varint: a tag, a length or a number. */
  #digit(byte: number): void {
    if (this.#state === atTag) {
      this.#state = inTag;
      this.#number = 0;
      this.#digits = 0;
      this.#factor = 1;
    }
    if (this.#digits === 9 && byte > 1) this.#failed = true;
    this.#number += (byte & 0x7f) * this.#factor;
    this.#factor *= 0x80;
    this.#digits++;
    if (byte >= 0x80) return;
    if (this.#state === inVarint) this.#state = atTag;
    else if (this.#state === inLength) this.#enterBytes();
    else this.#enterField();
  }

  #enterField(): void {
    const field = Math.floor(this.#number / 8);
    const type = this.#number % 8;
    const expected = wireTypes[field] ?? type;
    this.#isKey = field === 1;
    this.#number = 0;
    this.#digits = 0;
    this.#factor = 1;
    if (type !== expected || field === 0 || field > maxField) this.#failed = true;
    else if (type === varintField) this.#state = inVarint;
    else if (type === bytesField) this.#state = inLength;
    else if (type === 1 || type === 5) {
      this.#left = type === 1 ? 8 : 4;
      this.#state = inBytes;
    } else this.#failed = true;
  }

  #enterBytes(): void {
    this.#left = this.#number;
    if (this.#isKey) this.#startKey();
    this.#state = this.#left === 0 ? atTag : this.#isKey ? inKey : inBytes;
  }

  #startKey(): void {
    this.#a = 0x2545f491;
    this.#b = 0x4f6cdd1d;
    this.#size = 0;
  }

  #hash(bytes: Uint8Array, from: number, size: number): number {
    let a = this.#a;
    let b = this.#b;
    for (let at = from; at < from + size; at++) {
      const byte = bytes[at] ?? 0;
      a = Math.imul((a << 13) ^ (a >>> 19) ^ byte, 0x85ebca6b);
      b = Math.imul((b << 9) ^ (b >>> 23) ^ byte, 0xc2b2ae35);
    }
    this.#a = a;
    this.#b = b;
    this.#size += size;
    this.#left -= size;
    if (this.#left === 0) this.#state = atTag;
    return size;
  }
}

function mix(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
