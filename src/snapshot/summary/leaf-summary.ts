import { bucketFlag, emptyLeafLayout, type LeafLayout, type LeafSink } from "../../bbolt/leaf.ts";
import { WordList } from "../../bbolt/word-list.ts";
import { type InlineLeaf, type InlineSink, encodeBucketSummary } from "./bucket-codec.ts";
import { isRetained, type RetainedPage, RetainedPairs } from "./retained-pairs.ts";
import { KeyValueScan } from "./key-value.ts";
import {
  bucketProblem,
  revisionProblem,
  revisionProblems,
  tombstoneSize,
  valueProblem,
} from "./revision-key.ts";

/** The summary of one leaf. Whether a leaf belongs to the `key` bucket is known only when the tree is walked. */
export interface LeafSummary {
  /** Index in revisionProblems of why the `key` bucket cannot hold the first such pair; 0 when it could hold all. */
  problem: number;
  /** Where its entries begin in `entries`, two words a pair; set where `problem` is 0. */
  entries: number;
  /** The pairs retained with their bytes; none where `problem` is 0. */
  retained: RetainedPage;
}

/** A reference is `address * problemCount + problem`. */
const problemCount = revisionProblems.length;
const nothing: RetainedPage = { pairs: [], lostPairs: false, buckets: [] };

/**
 * Holds a summary of every leaf, in use or not: for a leaf that the `key` bucket could hold, an entry of 8 bytes for
 * each pair (the user key's hash, whose lowest bit marks a deletion), for any other leaf the pairs that RetainedPairs
 * retains.
 */
export class LeafSummaries {
  readonly entries = new WordList();
  readonly #retained: RetainedPairs;

  /** `root` is the page that holds all buckets, or the branch above the leaves that do. */
  constructor(root: number) {
    this.#retained = new RetainedPairs(root);
  }

  sink(): LeafSink {
    return new SummarySink(this.entries, this.#retained, false);
  }

  read(summaryRef: number): LeafSummary {
    const { problem, address } = decode(summaryRef);
    return problem === 0
      ? { problem, entries: address, retained: nothing }
      : { problem, entries: 0, retained: this.#retained.readPage(address) };
  }

  /** The summary of an inline bucket's leaf. */
  readInline({ summaryRef, pairs }: InlineLeaf): LeafSummary {
    const { problem, address } = decode(summaryRef);
    return { problem, entries: address, retained: { ...this.#retained.readPairs(pairs), buckets: [] } };
  }
}

function decode(summaryRef: number): { problem: number; address: number } {
  return { problem: summaryRef % problemCount, address: Math.floor(summaryRef / problemCount) };
}

class SummarySink implements InlineSink {
  readonly #allEntries: WordList;
  readonly #retained: RetainedPairs;
  /** Whether this sink receives the leaves of inline buckets, which lie within a page. */
  readonly #isInline: boolean;
  readonly #scan = new KeyValueScan();
  #entries = new Uint32Array(64);
  #used = 0;
  #page = 0;
  #problem = 0;
  /** Addresses of the page's metadata pairs and buckets. */
  #pairs: number[] = [];
  #buckets: number[] = [];
  #inline: { sink: SummarySink; layout: LeafLayout } | undefined;
  /** The open pair. */
  #key: Uint8Array = new Uint8Array(0);
  #flags = 0;
  #isRevision = false;
  #value: Uint8Array | undefined;
  #valueSize = 0;
  #valueGot = 0;

  constructor(allEntries: WordList, retained: RetainedPairs, isInline: boolean) {
    this.#allEntries = allEntries;
    this.#retained = retained;
    this.#isInline = isInline;
  }

  get pairs(): readonly number[] {
    return this.#pairs;
  }

  begin(page: number): void {
    this.#page = page;
    this.#used = 0;
    this.#problem = 0;
    if (this.#pairs.length > 0) this.#pairs = [];
    if (this.#buckets.length > 0) this.#buckets = [];
  }

  pair(
    flags: number,
    bytes: Uint8Array,
    view: DataView,
    keyAt: number,
    keySize: number,
    valueSize: number,
  ): void {
    const valueAt = keyAt + keySize;
    const problem = flags === 0 ? revisionProblem(view, keyAt, keySize) : bucketProblem;
    if (problem === 0) {
      this.#scan.begin();
      this.#scan.feed(bytes, valueAt, valueAt + valueSize);
      this.#addEntry(keySize);
      return;
    }
    if (this.#problem === 0) this.#problem = problem;
    const key = bytes.subarray(keyAt, valueAt);
    if (isRetained(flags, key, valueSize, valueSize === 0 ? 0 : (bytes[valueAt] ?? 0)))
      this.#retain(flags, key, bytes.subarray(valueAt, valueAt + valueSize));
    else this.#skip(flags);
  }

  openPair(flags: number, key: Uint8Array, valueSize: number): void {
    const view = new DataView(key.buffer, key.byteOffset, key.length);
    const problem = flags === 0 ? revisionProblem(view, 0, key.length) : bucketProblem;
    this.#key = key;
    this.#flags = flags;
    this.#isRevision = problem === 0;
    this.#value = undefined;
    this.#valueSize = valueSize;
    this.#valueGot = 0;
    if (this.#isRevision) this.#scan.begin();
    else if (this.#problem === 0) this.#problem = problem;
  }

  part(bytes: Uint8Array, from: number, to: number): void {
    if (this.#isRevision) return this.#scan.feed(bytes, from, to);
    if (this.#valueGot === 0 && isRetained(this.#flags, this.#key, this.#valueSize, bytes[from] ?? 0)) {
      this.#value = new Uint8Array(this.#valueSize);
    }
    this.#value?.set(bytes.subarray(from, to), this.#valueGot);
    this.#valueGot += to - from;
  }

  closePair(): void {
    if (this.#isRevision) this.#addEntry(this.#key.length);
    else if (this.#value !== undefined) this.#retain(this.#flags, this.#key, this.#value);
    else if (this.#valueSize === 0 && isRetained(this.#flags, this.#key, 0, 0)) {
      this.#retain(this.#flags, this.#key, new Uint8Array(0));
    } else this.#skip(this.#flags);
  }

  end(): number {
    if (this.#problem === 0) return this.#allEntries.append(this.#entries, this.#used) * problemCount;
    if (this.#isInline) return this.#problem;
    return this.#retained.addPage(this.#page, this.#pairs, this.#buckets) * problemCount + this.#problem;
  }

  abandon(): void {
    this.begin(this.#page);
  }

  fork(): LeafSink {
    return new SummarySink(this.#allEntries, this.#retained, this.#isInline);
  }

  #addEntry(keySize: number): void {
    if (!this.#scan.finish() && this.#problem === 0) this.#problem = valueProblem;
    if (this.#used === this.#entries.length) {
      const grown = new Uint32Array(2 * this.#used);
      grown.set(this.#entries);
      this.#entries = grown;
    }
    const low = this.#scan.low;
    this.#entries[this.#used++] = low;
    this.#entries[this.#used++] = (this.#scan.high & ~1) | (keySize === tombstoneSize ? 1 : 0);
  }

  #retain(flags: number, key: Uint8Array, value: Uint8Array): void {
    if ((flags & bucketFlag) === 0) this.#pairs.push(this.#retained.addPair(this.#page, key, value));
    else this.#buckets.push(this.#retainBucket(key, value));
  }

  /** Counts a bucket whose name or value no etcd database can have, so that sumBuckets reports it. */
  #skip(flags: number): void {
    if ((flags & bucketFlag) !== 0) this.#buckets.push(0);
  }

  #retainBucket(name: Uint8Array, value: Uint8Array): number {
    if (this.#isInline || !this.#retained.mayHoldBuckets(this.#page)) return 0;
    this.#inline ??= {
      sink: new SummarySink(this.#allEntries, this.#retained, true),
      layout: emptyLeafLayout(),
    };
    const { sink, layout } = this.#inline;
    return this.#retained.addBucket(name, encodeBucketSummary(value, this.#page, sink, layout));
  }
}
