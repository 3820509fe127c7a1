import type { KeySpan } from "./key-order.ts";
import { WordList } from "./word-list.ts";

const chunkBits = 20;
const chunkSize = 1 << chunkBits;
const leafRecord = 1;
const branchRecord = 2;
const brokenRecord = 3;
const maxAddress = 0xfffffffe;

/** Size and checksum of a leaf. */
export interface LeafTotals {
  /** Pages after the first. */
  overflow: number;
  /** Pairs, nested buckets among them. */
  count: number;
  /** CRC-32C over keys and values, in order; `length` is the number of those bytes. */
  crc: number;
  length: number;
  /** What `LeafSink.end` returned for this page. */
  summaryRef: number;
}

export interface LeafRecord extends LeafTotals {
  kind: "leaf";
  /** Empty when the page holds no pair. Valid until the next record is read. */
  firstKey: KeySpan;
  lastKey: KeySpan;
}

export interface BranchRecord {
  kind: "branch";
  overflow: number;
  keys: KeySpan[];
  children: number[];
}

/** A page whose header says branch or leaf and that cannot be read as one. */
export interface BrokenRecord {
  kind: "broken";
  problem: string;
}

export type PageRecord = LeafRecord | BranchRecord | BrokenRecord;

const noKey: KeySpan = { bytes: new Uint8Array(0), from: 0, to: 0 };

/**
 * A record of each page that may be part of the tree. A leaf of etcd's `key` bucket takes about 30 bytes and a
 * branch's child 10, so millions of pages take tens of megabytes.
 *
 * Records lie in a byte arena. A number is a varint. A key is the length of the prefix shared with the key before it,
 * the length of the rest, and the rest with each run of zero bytes as two bytes (an etcd revision is mostly zeros).
 */
export class PageRecords {
  /** Page id to 1 + the address of its record; 0 for no record. */
  readonly #index = new WordList();
  readonly #chunks: Uint8Array[] = [];
  readonly #problems: string[] = [];
  readonly #scratch = new Scratch();
  #chunk = new Uint8Array(0);
  #offset = chunkSize;

  /** Bytes of memory held. */
  get size(): number {
    return this.#chunks.length * chunkSize + this.#index.length * 4;
  }

  /** Copies the keys' bytes. */
  addLeaf(page: number, totals: LeafTotals, first: KeySpan, last: KeySpan): void {
    if (!this.#start(page, leafRecord)) return;
    this.#varint(totals.overflow);
    this.#varint(totals.count);
    if (totals.count === 0) return;
    for (let shift = 0; shift < 32; shift += 8) this.#byte((totals.crc >>> shift) & 0xff);
    this.#varint(totals.length);
    this.#varint(totals.summaryRef);
    this.#key(first, noKey);
    this.#key(last, first);
  }

  /** `keys` and `children` have equal lengths. Copies the keys' bytes. */
  addBranch(page: number, overflow: number, keys: readonly KeySpan[], children: readonly number[]): void {
    if (!this.#start(page, branchRecord)) return;
    this.#varint(overflow);
    this.#varint(children.length);
    let previous = noKey;
    for (let i = 0; i < children.length; i++) {
      const key = keys[i] ?? noKey;
      this.#varint(children[i] ?? 0);
      this.#key(key, previous);
      previous = key;
    }
  }

  /** Each distinct `problem` is stored once; callers use a few fixed texts. */
  addBroken(page: number, problem: string): void {
    if (!this.#start(page, brokenRecord)) return;
    let at = this.#problems.indexOf(problem);
    if (at < 0) at = this.#problems.push(problem) - 1;
    this.#varint(at);
  }

  get(page: number): PageRecord | undefined {
    const address = this.#index.get(page) - 1;
    if (address < 0) return undefined;
    const from = new Cursor(this.#chunks, address);
    const kind = from.byte();
    if (kind === brokenRecord) return { kind: "broken", problem: this.#problems[from.varint()] ?? "" };
    const overflow = from.varint();
    const count = from.varint();
    const scratch = this.#scratch;
    scratch.size = 0;
    if (kind === branchRecord) {
      const children: number[] = [];
      const spans: KeySpan[] = [];
      let previous = noKey;
      for (let i = 0; i < count; i++) {
        children.push(from.varint());
        previous = from.key(previous, scratch);
        spans.push(previous);
      }
      const bytes = scratch.bytes.slice(0, scratch.size);
      for (const span of spans) span.bytes = bytes;
      return { kind: "branch", overflow, keys: spans, children };
    }
    if (count === 0) {
      return {
        kind: "leaf",
        overflow,
        count,
        crc: 0,
        length: 0,
        summaryRef: 0,
        firstKey: noKey,
        lastKey: noKey,
      };
    }
    const crc = (from.byte() | (from.byte() << 8) | (from.byte() << 16) | (from.byte() << 24)) >>> 0;
    const length = from.varint();
    const summaryRef = from.varint();
    const firstKey = from.key(noKey, scratch);
    const lastKey = from.key(firstKey, scratch);
    firstKey.bytes = scratch.bytes;
    return { kind: "leaf", overflow, count, crc, length, summaryRef, firstKey, lastKey };
  }

  #start(page: number, kind: number): boolean {
    const address = (this.#chunks.length - 1) * chunkSize + this.#offset;
    if (address + 1 > maxAddress || page > maxAddress) return false;
    this.#index.set(page, address + 1);
    this.#byte(kind);
    return true;
  }

  #byte(value: number): void {
    if (this.#offset === chunkSize) {
      this.#chunk = new Uint8Array(chunkSize);
      this.#chunks.push(this.#chunk);
      this.#offset = 0;
    }
    this.#chunk[this.#offset++] = value;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#byte(rest);
  }

  #key(key: KeySpan, previous: KeySpan): void {
    const { bytes, to } = key;
    const most = Math.min(to - key.from, previous.to - previous.from);
    let shared = 0;
    while (shared < most && bytes[key.from + shared] === previous.bytes[previous.from + shared]) shared++;
    this.#varint(shared);
    let at = key.from + shared;
    this.#varint(to - at);
    while (at < to) {
      const byte = bytes[at++] ?? 0;
      this.#byte(byte);
      if (byte !== 0) continue;
      let run = 1;
      while (run < 255 && at < to && bytes[at] === 0) {
        run++;
        at++;
      }
      this.#byte(run);
    }
  }
}

/** Memory for decoded keys, one after the other. */
class Scratch {
  bytes = new Uint8Array(8192);
  size = 0;

  /** Makes room for `count` more bytes and returns where they begin. */
  extend(count: number): number {
    const start = this.size;
    this.size += count;
    if (this.size > this.bytes.length) {
      const grown = new Uint8Array(2 * this.size);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    return start;
  }
}

class Cursor {
  readonly #chunks: readonly Uint8Array[];
  #address: number;

  constructor(chunks: readonly Uint8Array[], address: number) {
    this.#chunks = chunks;
    this.#address = address;
  }

  byte(): number {
    const address = this.#address++;
    return this.#chunks[Math.floor(address / chunkSize)]?.[address % chunkSize] ?? 0;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
  }

  /** Decodes a key to the end of `scratch`, which also holds `previous`. */
  key(previous: KeySpan, scratch: Scratch): KeySpan {
    const shared = this.varint();
    const rest = this.varint();
    const start = scratch.extend(shared + rest);
    const bytes = scratch.bytes;
    for (let i = 0; i < shared; i++) bytes[start + i] = bytes[previous.from + i] ?? 0;
    const end = start + shared + rest;
    for (let at = start + shared; at < end; ) {
      const byte = this.byte();
      if (byte !== 0) {
        bytes[at++] = byte;
      } else {
        const stop = at + this.byte();
        while (at < stop) bytes[at++] = 0;
      }
    }
    return { bytes, from: start, to: end };
  }
}
