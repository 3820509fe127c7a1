import { bucketFlag, emptyLeafLayout, type LeafLayout, type LeafSink } from "../../bbolt/leaf.ts";
import { WordList } from "../../bbolt/word-list.ts";
import { type InlineLeaf, type InlineSink, packBucket } from "./bucket-codec.ts";
import { isWorthKeeping, type KeptPage, KeptPairs } from "./retained-pairs.ts";
import { KeyValueScan } from "./key-value.ts";
import { bucketProblem, revisionProblem, tombstoneSize, valueProblem } from "./revision-key.ts";

/** What was noted of one leaf. A leaf is only known to be of the `key` bucket once the tree is walked. */
export interface LeafNote {
  /** Number of the first thing that would be wrong with it as a leaf of `key` (see revisionProblems); 0 is nothing. */
  problem: number;
  /** Where its entries begin in `entries`, two words a pair; set where `problem` is 0. */
  entries: number;
  /** The pairs kept word for word; none where `problem` is 0. */
  kept: KeptPage;
}

const kinds = 8;
const nothing: KeptPage = { facts: [], lostFacts: false, buckets: [] };

/**
 * What the status needs of all leaves, whether or not they turn out to be in use: of leaves that look like the `key`
 * bucket's an entry of 8 bytes a pair (the user key's hash, its lowest bit saying that the pair is a deletion), of
 * others the few pairs worth keeping.
 */
export class LeafNotes {
  readonly entries = new WordList();
  readonly #kept: KeptPairs;

  /** `root` is the page that holds all buckets, or is the branch above the leaves that do. */
  constructor(root: number) {
    this.#kept = new KeptPairs(root);
  }

  sink(): LeafSink {
    return new NotingSink(this.entries, this.#kept, false);
  }

  read(note: number): LeafNote {
    const { problem, place } = decode(note);
    return problem === 0
      ? { problem, entries: place, kept: nothing }
      : { problem, entries: 0, kept: this.#kept.page(place) };
  }

  /** Of an inline bucket's leaf. */
  readInline({ summaryRef, facts }: InlineLeaf): LeafNote {
    const { problem, place } = decode(summaryRef);
    return { problem, entries: place, kept: { ...this.#kept.readFacts(facts), buckets: [] } };
  }
}

function decode(note: number): { problem: number; place: number } {
  return { problem: note % kinds, place: Math.floor(note / kinds) };
}

class NotingSink implements InlineSink {
  readonly #all: WordList;
  readonly #kept: KeptPairs;
  /** Whether it is told the leaves of inline buckets, which lie within a page. */
  readonly #isInline: boolean;
  readonly #scan = new KeyValueScan();
  #entries = new Uint32Array(64);
  #used = 0;
  #page = 0;
  #problem = 0;
  /** Places of the page's facts and buckets. */
  #facts: number[] = [];
  #buckets: number[] = [];
  #inline: { sink: NotingSink; layout: LeafLayout } | undefined;
  /** Of the open pair. */
  #key: Uint8Array = new Uint8Array(0);
  #flags = 0;
  #isRevision = false;
  #value: Uint8Array | undefined;
  #valueSize = 0;
  #valueGot = 0;

  constructor(all: WordList, kept: KeptPairs, isInline: boolean) {
    this.#all = all;
    this.#kept = kept;
    this.#isInline = isInline;
  }

  get facts(): readonly number[] {
    return this.#facts;
  }

  begin(page: number): void {
    this.#page = page;
    this.#used = 0;
    this.#problem = 0;
    if (this.#facts.length > 0) this.#facts = [];
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
    if (!isWorthKeeping(flags, key, valueSize, valueSize === 0 ? 0 : (bytes[valueAt] ?? 0))) return;
    this.#keep(flags, key, bytes.subarray(valueAt, valueAt + valueSize));
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
    if (this.#valueGot === 0 && isWorthKeeping(this.#flags, this.#key, this.#valueSize, bytes[from] ?? 0)) {
      this.#value = new Uint8Array(this.#valueSize);
    }
    this.#value?.set(bytes.subarray(from, to), this.#valueGot);
    this.#valueGot += to - from;
  }

  closePair(): void {
    if (this.#isRevision) this.#addEntry(this.#key.length);
    else if (this.#value !== undefined) this.#keep(this.#flags, this.#key, this.#value);
    else if (this.#valueSize === 0 && isWorthKeeping(this.#flags, this.#key, 0, 0)) {
      this.#keep(this.#flags, this.#key, new Uint8Array(0));
    }
  }

  end(): number {
    if (this.#problem === 0) return this.#all.append(this.#entries, this.#used) * kinds;
    if (this.#isInline) return this.#problem;
    return this.#kept.addPage(this.#page, this.#facts, this.#buckets) * kinds + this.#problem;
  }

  abandon(): void {
    this.begin(this.#page);
  }

  fork(): LeafSink {
    return new NotingSink(this.#all, this.#kept, this.#isInline);
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

  #keep(flags: number, key: Uint8Array, value: Uint8Array): void {
    if ((flags & bucketFlag) === 0) this.#facts.push(this.#kept.addFact(this.#page, key, value));
    else this.#buckets.push(this.#keepBucket(key, value));
  }

  #keepBucket(name: Uint8Array, value: Uint8Array): number {
    if (this.#isInline || !this.#kept.mayHoldBuckets(this.#page)) return 0;
    this.#inline ??= { sink: new NotingSink(this.#all, this.#kept, true), layout: emptyLeafLayout() };
    const { sink, layout } = this.#inline;
    return this.#kept.addBucket(name, packBucket(value, this.#page, sink, layout));
  }
}
