import { bucketFlag } from "../../bbolt/leaf.ts";
import { WordList } from "../../bbolt/word-list.ts";
import { type BucketSummary, decodeBucketSummary } from "./bucket-codec.ts";
import { metadataBuckets, metadataKeys } from "./metadata.ts";
import { maxValueBytes, PairArena, type RetainedPair, sizeOf } from "./pair-arena.ts";

/** Bytes for metadata pairs on pages that may be stale. */
const tentativeBytes = 32 * 1024 * 1024;
/** Bytes for metadata pairs on pages known to be in use: a thousand times what a cluster has. */
const liveBytes = 16 * 1024 * 1024;
/** The longest key of a bucket or an alarm that is retained, in bytes. */
const maxNameBytes = 64;
/** The longest storage or cluster version that is retained, in bytes. */
const maxVersionBytes = 64;
/** The longest member ID: 64 bits in hex. */
const maxMemberIdBytes = 16;
const openingBrace = 0x7b;
/** The address of every page of which nothing is retained. */
const emptyPage = 0;

const fixedKeys: ReadonlySet<string> = new Set(Object.values(metadataKeys));
const longestFixedKey = Math.max(...Array.from(fixedKeys, (name) => name.length));

/**
 * Whether a pair outside the `key` bucket is retained: a bucket, a pair of `meta`, `cluster` or `auth` with a fixed
 * key, an alarm (a key without value) or a member (hex ID and JSON). Leases, users and roles are only counted and
 * hashed.
 */
export function isRetained(flags: number, key: Uint8Array, valueSize: number, firstOfValue: number): boolean {
  if (valueSize > maxValueBytes) return false;
  if ((flags & bucketFlag) !== 0 || valueSize === 0) return key.length <= maxNameBytes;
  if (key.length > longestFixedKey) return false;
  if (firstOfValue === openingBrace && key.length <= maxMemberIdBytes) return isLowerHex(key);
  const name = nameOf(key);
  return fixedKeys.has(name) && (!isVersion(name) || valueSize <= maxVersionBytes);
}

function isLowerHex(key: Uint8Array): boolean {
  return key.every((byte) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66));
}

function isVersion(name: string): boolean {
  return name === metadataKeys.storageVersion || name === metadataKeys.clusterVersion;
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

/** The pairs retained of one page. */
export interface RetainedPage {
  /** Metadata pairs, in the page's order. */
  pairs: RetainedPair[];
  /** Whether some metadata pairs found no room. */
  lostPairs: boolean;
  /** In the page's order; undefined for a bucket that no etcd database can have. */
  buckets: ({ name: Uint8Array; bucket: BucketSummary } | undefined)[];
}

/**
 * Holds the pairs that the status needs with their bytes. They are retained before it is known which pages are in
 * use: every commit of etcd leaves a stale copy of the page of all buckets, with their inline pages.
 *
 * Every bucket is retained, so that stale copies, however many, cannot hide the tree. A copy takes some hundred
 * bytes. Once the root has been read and is a leaf, no other page can hold the database's buckets. Metadata pairs on
 * pages not known to be in use are retained up to a limit, except versions, which tell the file's format.
 */
export class RetainedPairs {
  /** For each page: number and addresses of its metadata pairs, number and addresses of its buckets. */
  readonly #pages = new WordList();
  readonly #pairs = new PairArena();
  readonly #buckets = new PairArena();
  readonly #root: number;
  #rootIsLeaf = false;
  /** Pages known to hold metadata in use: the root, and once it has been read the roots of its metadata buckets. */
  readonly #live: Set<number>;
  #tentativeLeft = tentativeBytes;
  #liveLeft = liveBytes;

  constructor(root: number) {
    this.#root = root;
    this.#live = new Set([root]);
    this.#append([], []);
  }

  /** Whether the buckets on this page may be the database's. */
  mayHoldBuckets(page: number): boolean {
    return !this.#rootIsLeaf || page === this.#root;
  }

  /** The address of a bucket, given as `encodeBucketSummary` encodes it. */
  addBucket(name: Uint8Array, encoded: Uint8Array): number {
    return this.#buckets.add(name, encoded);
  }

  /** The address of a metadata pair on this page; 0 when there is no room. */
  addPair(page: number, key: Uint8Array, value: Uint8Array): number {
    const equal = this.#pairs.find(key, value);
    if (equal !== 0) return equal;
    const size = sizeOf(key, value);
    if (!isVersion(nameOf(key))) {
      const isLive = this.#live.has(page);
      if (size > (isLive ? this.#liveLeft : this.#tentativeLeft)) return 0;
      if (isLive) this.#liveLeft -= size;
      else this.#tentativeLeft -= size;
    }
    return this.#pairs.add(key, value);
  }

  /** The address of a page, given the addresses of its metadata pairs and buckets. */
  addPage(page: number, pairs: readonly number[], buckets: readonly number[]): number {
    if (page === this.#root) this.#addRoot(buckets);
    return pairs.length + buckets.length === 0 ? emptyPage : this.#append(pairs, buckets);
  }

  readPage(address: number): RetainedPage {
    const pairs = this.#list(address);
    const buckets = this.#list(address + 1 + pairs.length);
    return { ...this.readPairs(pairs), buckets: buckets.map((at) => this.#bucket(at)) };
  }

  /** The metadata pairs at these addresses. */
  readPairs(addresses: readonly number[]): Pick<RetainedPage, "pairs" | "lostPairs"> {
    const pairs = addresses.filter((address) => address !== 0).map((address) => this.#pairs.get(address));
    return { pairs, lostPairs: pairs.length < addresses.length };
  }

  #append(...lists: (readonly number[])[]): number {
    const address = this.#pages.length;
    for (const list of lists) {
      this.#pages.push(list.length);
      for (const word of list) this.#pages.push(word);
    }
    return address;
  }

  #list(at: number): number[] {
    return Array.from({ length: this.#pages.get(at) }, (_, i) => this.#pages.get(at + 1 + i));
  }

  #bucket(address: number): RetainedPage["buckets"][number] {
    if (address === 0) return undefined;
    const { key, value } = this.#buckets.get(address);
    return { name: key, bucket: decodeBucketSummary(value) };
  }

  #addRoot(buckets: readonly number[]): void {
    this.#rootIsLeaf = true;
    for (const address of buckets) {
      const entry = this.#bucket(address);
      if (entry?.bucket.kind === "tree" && metadataBuckets.has(nameOf(entry.name)))
        this.#live.add(entry.bucket.root);
    }
  }
}
