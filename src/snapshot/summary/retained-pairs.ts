import { bucketFlag } from "../../bbolt/leaf.ts";
import { WordList } from "../../bbolt/word-list.ts";
import { metadataBuckets } from "./metadata.ts";
import { type KeptBucket, unpackBucket } from "./bucket-codec.ts";
import { type KeptPair, maxListedValue, PairList, sizeOf } from "./pair-arena.ts";

/** Bytes for facts on pages that may turn out not to be in use. */
const tentativeBytes = 32 * 1024 * 1024;
/** Bytes for facts on pages known to be in use: a thousand times what a cluster has. */
const liveBytes = 16 * 1024 * 1024;
const longestVersion = 64;
/** The place of all pages of which nothing is kept. */
const emptyPage = 0;

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
  if (valueSize > maxListedValue) return false;
  if ((flags & bucketFlag) !== 0 || valueSize === 0) return key.length <= 64;
  if (key.length > longestFactName) return false;
  if (firstOfValue === 0x7b && key.length <= 16) return isLowerHex(key);
  const name = nameOf(key);
  return factNames.has(name) && (!isVersion(name) || valueSize <= longestVersion);
}

function isLowerHex(key: Uint8Array): boolean {
  return key.every((byte) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66));
}

function isVersion(name: string): boolean {
  return name === "storageVersion" || name === "clusterVersion";
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

/** The pairs kept of one page. */
export interface KeptPage {
  /** In the page's order. */
  facts: KeptPair[];
  /** Whether some facts found no room. */
  lostFacts: boolean;
  /** In the page's order; undefined for one that no database of etcd can have. */
  buckets: ({ name: Uint8Array; bucket: KeptBucket } | undefined)[];
}

/**
 * The pairs of pages that the status needs word for word, kept before it is known which pages are in use: every
 * commit of etcd leaves behind a stale copy of the page of all buckets, inline ones and their facts included.
 *
 * Buckets always find room, so that no number of stale copies can hide the tree: each copy takes some hundred bytes,
 * until the root has come by and turned out to be a leaf; no other page of buckets matters then. Facts on pages that
 * are not known to be in use find room up to a limit, but for the versions that a file's format is told by.
 */
export class KeptPairs {
  /** For each page: how many facts and their places, how many buckets and their places. */
  readonly #pages = new WordList();
  readonly #facts = new PairList();
  readonly #buckets = new PairList();
  readonly #root: number;
  #rootIsLeaf = false;
  /** Pages known to hold facts in use: the root, and the roots of its buckets once it has come by. */
  readonly #live: Set<number>;
  #roomTentative = tentativeBytes;
  #roomLive = liveBytes;

  constructor(root: number) {
    this.#root = root;
    this.#live = new Set([root]);
    this.#append([], []);
  }

  /** Whether buckets on this page may be the database's. */
  mayHoldBuckets(page: number): boolean {
    return !this.#rootIsLeaf || page === this.#root;
  }

  /** The place of a bucket, given as `packBucket` packs it. */
  addBucket(name: Uint8Array, packed: Uint8Array): number {
    return this.#buckets.add(name, packed);
  }

  /** The place of a fact on this page; 0 when there is no room. */
  addFact(page: number, key: Uint8Array, value: Uint8Array): number {
    const known = this.#facts.find(key, value);
    if (known !== 0) return known;
    const size = sizeOf(key, value);
    if (!isVersion(nameOf(key))) {
      const isLive = this.#live.has(page);
      if (size > (isLive ? this.#roomLive : this.#roomTentative)) return 0;
      if (isLive) this.#roomLive -= size;
      else this.#roomTentative -= size;
    }
    return this.#facts.add(key, value);
  }

  /** The place of a page with these facts and buckets, which are their places. */
  addPage(page: number, facts: readonly number[], buckets: readonly number[]): number {
    if (page === this.#root) this.#takeRoot(buckets);
    return facts.length + buckets.length === 0 ? emptyPage : this.#append(facts, buckets);
  }

  page(place: number): KeptPage {
    const facts = this.#list(place);
    const buckets = this.#list(place + 1 + facts.length);
    return { ...this.readFacts(facts), buckets: buckets.map((at) => this.#bucket(at)) };
  }

  /** The facts at these places. */
  readFacts(places: readonly number[]): Pick<KeptPage, "facts" | "lostFacts"> {
    const facts = places.filter((place) => place !== 0).map((place) => this.#facts.get(place));
    return { facts, lostFacts: facts.length < places.length };
  }

  #append(...lists: (readonly number[])[]): number {
    const place = this.#pages.length;
    for (const list of lists) {
      this.#pages.push(list.length);
      for (const word of list) this.#pages.push(word);
    }
    return place;
  }

  #list(at: number): number[] {
    return Array.from({ length: this.#pages.get(at) }, (_, i) => this.#pages.get(at + 1 + i));
  }

  #bucket(place: number): KeptPage["buckets"][number] {
    if (place === 0) return undefined;
    const { key, value } = this.#buckets.get(place);
    return { name: key, bucket: unpackBucket(value) };
  }

  #takeRoot(buckets: readonly number[]): void {
    this.#rootIsLeaf = true;
    for (const place of buckets) {
      const found = this.#bucket(place);
      if (found?.bucket.kind === "tree" && metadataBuckets.has(nameOf(found.name)))
        this.#live.add(found.bucket.root);
    }
  }
}
