import { compareSpans, type KeySpan } from "./key-order.ts";
import {
  bucketFlag,
  fillsPages,
  keySizeProblem,
  type LeafSink,
  orderProblem,
  rowProblem,
  sizeProblem,
} from "./leaf.ts";
import { elementSize, maxKeySize, pageHeaderSize, viewOf } from "./page.ts";
import type { LeafTotals } from "./page-records.ts";

/** The running CRC-32C that all open runs share. */
export interface SharedCrc {
  /** The CRC up to byte `to` of the current page. */
  upTo(to: number): number;
  /** The CRC of the last `length` bytes, from the CRCs before and after them. */
  between(before: number, after: number, length: number): number;
}

const noKey: KeySpan = { bytes: new Uint8Array(0), from: 0, to: 0 };

export type RunState = "open" | "done" | "broken";

/**
 * Reads a leaf of several pages, one page at a time. It holds the table as far as it has arrived, the first and last
 * key, and a key that crosses pages. It holds no value: a damaged table may claim values of any size.
 */
export class LeafRun {
  readonly page: number;
  readonly totals: LeafTotals;
  firstKey = noKey;
  lastKey = noKey;
  problem = "";
  readonly #sink: LeafSink;
  readonly #pageSize: number;
  readonly #start: number;
  #table: Uint8Array;
  #tableHeld = 0;
  #tableChecked = 0;
  #nextPair: number;
  #end = 0;
  #startCrc: number | undefined;
  #row = 0;
  /** Offset in the run of the next byte to read. */
  #cursor: number;
  #keyHeld: Uint8Array | undefined;
  #keyGot = 0;
  #valueLeft = 0;

  constructor(page: number, overflow: number, count: number, pageSize: number, sink: LeafSink) {
    this.page = page;
    this.totals = { overflow, count, crc: 0, length: 0, summaryRef: 0 };
    this.#sink = sink;
    this.#pageSize = pageSize;
    this.#start = pageHeaderSize + elementSize * count;
    this.#cursor = this.#start;
    this.#nextPair = this.#start;
    this.#table = new Uint8Array(Math.min(elementSize * count, pageSize - pageHeaderSize));
    sink.begin(page);
  }

  /** Bytes of memory held for this run. */
  get held(): number {
    return 512 + this.#table.length + this.lastKey.to + (this.#keyHeld?.length ?? 0);
  }

  /** Reads the run's next page, which lies at `at` in `bytes` and at offset `base` in the run. */
  feed(bytes: Uint8Array, view: DataView, at: number, base: number, crc: SharedCrc): RunState {
    const pageEnd = base + this.#pageSize;
    if (this.#end === 0) {
      const state = this.#readTable(bytes, at, base);
      if (state !== undefined) return state;
    }
    if (this.#startCrc === undefined) {
      if (this.#start >= pageEnd) return "open";
      this.#startCrc = crc.upTo(this.#start - base);
    }
    while (this.#row < this.totals.count && this.#cursor < pageEnd) {
      const problem = this.#readPair(bytes, view, at, base, pageEnd);
      if (problem !== undefined) return this.#fail(problem);
    }
    if (this.#row < this.totals.count || this.#cursor > pageEnd) return "open";
    this.totals.length = this.#end - this.#start;
    this.totals.crc = crc.between(this.#startCrc, crc.upTo(this.#end - base), this.totals.length);
    this.totals.summaryRef = this.#sink.end();
    return "done";
  }

  /** Ends the run because the file ends within it or its pairs end before its pages do. */
  abandon(problem: string): void {
    this.#fail(problem);
  }

  #readTable(bytes: Uint8Array, at: number, base: number): RunState | undefined {
    const from = Math.max(base, pageHeaderSize);
    const to = Math.min(base + this.#pageSize, this.#start);
    const size = this.#tableHeld + to - from;
    if (size > this.#table.length) {
      const grown = new Uint8Array(
        Math.min(this.#start - pageHeaderSize, Math.max(size, 2 * this.#table.length)),
      );
      grown.set(this.#table);
      this.#table = grown;
    }
    this.#table.set(bytes.subarray(at + from - base, at + to - base), this.#tableHeld);
    this.#tableHeld = size;
    const problem = this.#checkTable();
    if (problem !== undefined) return this.#fail(problem);
    return this.#end === 0 ? "open" : undefined;
  }

  /** Checks the rows that have arrived. Sets the run's end when all have arrived. */
  #checkTable(): string | undefined {
    const view = viewOf(this.#table);
    const limit = (this.totals.overflow + 1) * this.#pageSize;
    let next = this.#nextPair;
    let at = this.#tableChecked;
    for (; at + elementSize <= this.#tableHeld; at += elementSize) {
      const keySize = view.getUint32(at + 8, true);
      if (view.getUint32(at, true) > bucketFlag) return rowProblem;
      if (pageHeaderSize + at + view.getUint32(at + 4, true) !== next) return rowProblem;
      if (keySize > maxKeySize) return keySizeProblem;
      next += keySize + view.getUint32(at + 12, true);
      if (next > limit) return rowProblem;
    }
    this.#tableChecked = at;
    this.#nextPair = next;
    if (at < this.#start - pageHeaderSize) return undefined;
    if (!fillsPages(next, this.totals.overflow, this.#pageSize)) return sizeProblem;
    this.#end = next;
    return undefined;
  }

  /** Reads what this page holds of the pair at `#row`. */
  #readPair(
    bytes: Uint8Array,
    view: DataView,
    at: number,
    base: number,
    pageEnd: number,
  ): string | undefined {
    const table = viewOf(this.#table);
    const row = this.#row * elementSize;
    const offset = at + this.#cursor - base;
    const available = pageEnd - this.#cursor;
    if (this.#valueLeft > 0) {
      const part = Math.min(available, this.#valueLeft);
      this.#sink.part(bytes, offset, offset + part);
      this.#cursor += part;
      this.#valueLeft -= part;
      if (this.#valueLeft === 0) this.#finishPair();
      return undefined;
    }
    const flags = table.getUint32(row, true);
    const keySize = table.getUint32(row + 8, true);
    const valueSize = table.getUint32(row + 12, true);
    if (this.#keyHeld === undefined && keySize + valueSize <= available) {
      const problem = this.#takeKey(new Uint8Array(bytes.subarray(offset, offset + keySize)));
      if (problem !== undefined) return problem;
      this.#sink.pair(flags, bytes, view, offset, keySize, valueSize);
      this.#cursor += keySize + valueSize;
      this.#row++;
      return undefined;
    }
    this.#keyHeld ??= new Uint8Array(keySize);
    const part = Math.min(available, keySize - this.#keyGot);
    this.#keyHeld.set(bytes.subarray(offset, offset + part), this.#keyGot);
    this.#keyGot += part;
    this.#cursor += part;
    if (this.#keyGot < keySize) return undefined;
    const problem = this.#takeKey(this.#keyHeld);
    if (problem !== undefined) return problem;
    this.#sink.openPair(flags, this.#keyHeld, valueSize);
    this.#keyHeld = undefined;
    this.#keyGot = 0;
    this.#valueLeft = valueSize;
    if (valueSize === 0) this.#finishPair();
    return undefined;
  }

  #finishPair(): void {
    this.#sink.closePair();
    this.#row++;
  }

  #takeKey(bytes: Uint8Array): string | undefined {
    const key = { bytes, from: 0, to: bytes.length };
    if (this.#row === 0) this.firstKey = key;
    else if (compareSpans(this.lastKey, key) >= 0) return orderProblem;
    this.lastKey = key;
    return undefined;
  }

  #fail(problem: string): "broken" {
    this.problem = problem;
    this.#sink.abandon();
    return "broken";
  }
}
