import { crc32c } from "@node-rs/crc32";
import { compareKeys, type KeySpan } from "./key-order.ts";
import { elementSize, maxKeySize, pageHeaderSize } from "./page.ts";
import type { LeafTotals } from "./page-records.ts";

/** The flag of a pair whose value is a bucket. */
export const bucketFlag = 0x01;

/**
 * Receives every pair of one leaf, in order: `begin`; for each pair `pair`, or `openPair`, `part`…, `closePair` where
 * the value crosses pages; then `end` or `abandon`. The caller reuses the bytes after each call.
 */
export interface LeafSink {
  begin(page: number): void;
  /** The key lies at `keyAt` and the value right after it. */
  pair(
    flags: number,
    bytes: Uint8Array,
    view: DataView,
    keyAt: number,
    keySize: number,
    valueSize: number,
  ): void;
  openPair(flags: number, key: Uint8Array, valueSize: number): void;
  part(bytes: Uint8Array, from: number, to: number): void;
  closePair(): void;
  /** Returns a reference to what the sink retains of the page: an integer from 0 to 2^53 - 1. PageRecords keeps it. */
  end(): number;
  /** The page is not a leaf after all: what `begin` and later calls passed is void. */
  abandon(): void;
  /** Another sink, for a leaf that is read while this sink's leaf is not finished. */
  fork(): LeafSink;
}

export interface LeafLayout extends LeafTotals {
  firstKey: KeySpan;
  lastKey: KeySpan;
}

export function emptyLeafLayout(): LeafLayout {
  const noKey = (): KeySpan => ({ bytes: new Uint8Array(0), from: 0, to: 0 });
  return { overflow: 0, count: 0, crc: 0, length: 0, summaryRef: 0, firstKey: noKey(), lastKey: noKey() };
}

export const rowProblem = "leaf page's table of pairs is damaged";
export const sizeProblem = "leaf page's pairs do not fill the room it claims";
export const orderProblem = "keys of the leaf page are not in strictly ascending order";
export const keySizeProblem = `leaf page holds a key longer than ${maxKeySize} bytes`;

/**
 * Reads the leaf of one page, or of an inline bucket on page `page`, at `at`, of at most `limit` bytes, and fills
 * `out`. A row of its table: flags u32, pos u32 (counted from the row), key size u32, value size u32. The pairs follow
 * the table without gaps, key then value, in the table's order: bbolt writes no other layout. Returns the problem of a
 * damaged leaf, else undefined.
 */
export function readLeaf(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  limit: number,
  page: number,
  sink: LeafSink,
  out: LeafLayout,
): string | undefined {
  const count = view.getUint16(at + 10, true);
  const start = at + pageHeaderSize + elementSize * count;
  const end = at + limit;
  if (start > end) return rowProblem;
  sink.begin(page);
  let next = start;
  let lastAt = 0;
  let lastSize = 0;
  for (let row = at + pageHeaderSize; row < start; row += elementSize) {
    const flags = view.getUint32(row, true);
    const keySize = view.getUint32(row + 8, true);
    const valueSize = view.getUint32(row + 12, true);
    const keyAt = next;
    next = keyAt + keySize + valueSize;
    if (row + view.getUint32(row + 4, true) !== keyAt || next > end || flags > bucketFlag)
      return fail(sink, rowProblem);
    if (keySize > maxKeySize) return fail(sink, keySizeProblem);
    if (lastAt !== 0 && compareKeys(view, lastAt, lastSize, view, keyAt, keySize) >= 0) {
      return fail(sink, orderProblem);
    }
    lastAt = keyAt;
    lastSize = keySize;
    sink.pair(flags, bytes, view, keyAt, keySize, valueSize);
  }
  out.overflow = 0;
  out.count = count;
  out.length = next - start;
  out.crc = next > start ? crc32c(bytes.subarray(start, next)) : 0;
  out.firstKey.bytes = bytes;
  out.firstKey.from = start;
  out.firstKey.to = start + (count > 0 ? view.getUint32(at + pageHeaderSize + 8, true) : 0);
  out.lastKey.bytes = bytes;
  out.lastKey.from = lastAt;
  out.lastKey.to = lastAt + lastSize;
  out.summaryRef = sink.end();
  return undefined;
}

function fail(sink: LeafSink, problem: string): string {
  sink.abandon();
  return problem;
}

/** Whether bbolt allocates `1 + overflow` pages for `size` bytes: as many as needed, or one more at an exact fit. */
export function fillsPages(size: number, overflow: number, pageSize: number): boolean {
  return size <= (overflow + 1) * pageSize && size >= overflow * pageSize;
}
