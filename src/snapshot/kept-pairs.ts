import { crc32c } from "@node-rs/crc32";
import { bucketFlag } from "../bbolt/leaf.ts";
import { WordList } from "../bbolt/word-list.ts";

/** The longest value that is kept: an inline bucket is smaller than a page, a member's entry far smaller. */
const maxValueSize = 65536;
const maxKeptBytes = 48 * 1024 * 1024;
/** The index of a pair that found no room. */
const noRoom = 0xffffffff;
/** Stands, at index 0, for every bucket that cannot be one of etcd's. */
const nestedBucket: KeptPair = { isBucket: true, key: new Uint8Array(0), value: new Uint8Array(0) };

export interface KeptPair {
  isBucket: boolean;
  key: Uint8Array;
  value: Uint8Array;
}

const factNames = new Set([
  "consistent_index",
  "term",
  "storageVersion",
  "scheduledCompactRev",
  "finishedCompactRev",
  "clusterVersion",
  "authEnabled",
]);
const longestFactName = 19;

/**
 * Whether a pair outside the `key` bucket is worth keeping: a bucket, a named fact of `meta`, `cluster` or `auth`, an
 * alarm (nothing but a key), or a member (hex id → JSON). Leases, users and roles are counted and hashed only.
 */
export function isWorthKeeping(
  flags: number,
  key: Uint8Array,
  valueSize: number,
  firstOfValue: number,
): boolean {
  if (valueSize > maxValueSize) return false;
  if ((flags & bucketFlag) !== 0 || valueSize === 0) return key.length <= 64;
  if (key.length > longestFactName) return false;
  if (firstOfValue === 0x7b && key.length <= 16) return isLowerHex(key);
  return factNames.has(Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1"));
}

function isLowerHex(key: Uint8Array): boolean {
  return key.every((byte) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66));
}

/**
 * The pairs of a page that the status needs word for word. Every commit of etcd leaves a stale copy of some such pages
 * behind, alike but for a few pairs, so each distinct pair is stored once.
 */
export class KeptPairs {
  /** For each page: how many pairs, then the index of each in #pairs. */
  readonly #pages = new WordList();
  readonly #pairs: KeptPair[] = [nestedBucket];
  /** By checksum and length: the pairs' indices. */
  readonly #known = new Map<number, number>();
  readonly #root: number;
  #rootIsLeaf = false;
  #bytes = 0;

  constructor(root: number) {
    this.#root = root;
  }

  /** The place of a page's pairs. Once the root was a leaf, no other page's buckets matter. */
  addPage(page: number, pairs: readonly number[]): number {
    if (page === this.#root) this.#rootIsLeaf = true;
    const place = this.#pages.length;
    this.#pages.push(pairs.length);
    for (const pair of pairs) this.#pages.push(pair);
    return place;
  }

  /** Undefined when one of them had found no room. */
  page(place: number): KeptPair[] | undefined {
    const count = this.#pages.get(place);
    const pairs: KeptPair[] = [];
    for (let i = 1; i <= count; i++) {
      const pair = this.#pairs[this.#pages.get(place + i)];
      if (pair === undefined) return undefined;
      pairs.push(pair);
    }
    return pairs;
  }

  /** The index of this pair, whose bytes are copied when it is new. */
  add(page: number, isBucket: boolean, key: Uint8Array, value: Uint8Array): number {
    if (isBucket && this.#rootIsLeaf && page !== this.#root) return 0;
    const sum = crc32c(value, crc32c(key)) * 2097152 + key.length + value.length;
    const known = this.#known.get(sum);
    const pair = known === undefined ? undefined : this.#pairs[known];
    if (known !== undefined && pair !== undefined && pair.isBucket === isBucket) {
      if (same(pair.key, key) && same(pair.value, value)) return known;
    }
    const size = key.length + value.length + 256;
    if (this.#bytes + size > maxKeptBytes) return noRoom;
    this.#bytes += size;
    const index = this.#pairs.push({ isBucket, key: new Uint8Array(key), value: new Uint8Array(value) }) - 1;
    this.#known.set(sum, index);
    return index;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
