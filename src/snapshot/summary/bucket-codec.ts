import { decodeBucket } from "../../bbolt/bucket.ts";
import type { KeySpan } from "../../bbolt/key-order.ts";
import { bucketFlag, type LeafLayout, type LeafSink, readLeaf, sizeProblem } from "../../bbolt/leaf.ts";
import { elementSize, pageHeaderSize, readU64, viewOf } from "../../bbolt/page.ts";

/** What is retained of the value of a bucket's pair: enough to total the bucket, in fewer bytes than an inline page. */
export type BucketSummary =
  | { kind: "tree"; root: number }
  | { kind: "inline"; leaf: InlineLeaf }
  /** `problem` describes the inline page; undefined when the value has neither a root nor an inline page. */
  | { kind: "damaged"; problem: string | undefined };

export interface InlineLeaf {
  count: number;
  length: number;
  crc: number;
  /** What the leaf's sink returned. */
  summaryRef: number;
  /** The last key, of which only the first 8 bytes are retained. */
  lastKey: KeySpan;
  /** Addresses of the metadata pairs that the leaf's sink retained. */
  pairs: number[];
}

/** Receives the pairs of an inline bucket's leaf. */
export interface InlineSink extends LeafSink {
  /** Addresses of the metadata pairs of the last leaf. */
  readonly pairs: readonly number[];
}

const treeMark = 0;
const damagedMark = 1;
const inlineMark = 2;
/** An inline bucket: mark u8, count u16, length u32, CRC u32, reference u48, start of the last key, addresses u32. */
const lastKeyAt = 17;
const lastKeySize = 8;
const pairsAt = lastKeyAt + lastKeySize;

/** Encodes the value of a bucket's pair on `page`. Passes an inline bucket's pairs to `sink` and fills `layout`. */
export function encodeBucketSummary(
  value: Uint8Array,
  page: number,
  sink: InlineSink,
  layout: LeafLayout,
): Uint8Array {
  const bucket = decodeBucket(value);
  if (bucket === undefined) return Buffer.of(damagedMark);
  if (bucket.inline === undefined) return Buffer.concat([Buffer.of(treeMark), value.subarray(0, 8)]);
  const bytes = bucket.inline;
  const problem = readInline(bytes, page, sink, layout);
  if (problem !== undefined) return Buffer.concat([Buffer.of(damagedMark), Buffer.from(problem, "latin1")]);
  const { pairs } = sink;
  const encoded = Buffer.alloc(pairsAt + 4 * pairs.length);
  encoded.writeUInt8(inlineMark);
  encoded.writeUInt16LE(layout.count, 1);
  encoded.writeUInt32LE(layout.length, 3);
  encoded.writeUInt32LE(layout.crc, 7);
  encoded.writeUIntLE(layout.summaryRef, 11, 6);
  const { bytes: keyBytes, from, to } = layout.lastKey;
  encoded.set(keyBytes.subarray(from, Math.min(to, from + lastKeySize)), lastKeyAt);
  pairs.forEach((address, i) => encoded.writeUInt32LE(address, pairsAt + 4 * i));
  return encoded;
}

/** Reads the page of an inline bucket. bbolt moves a bucket that holds a bucket to pages of its own. */
function readInline(bytes: Uint8Array, page: number, sink: LeafSink, layout: LeafLayout): string | undefined {
  const view = viewOf(bytes);
  const problem = readLeaf(bytes, view, 0, bytes.length, page, sink, layout);
  if (problem !== undefined) return problem;
  const tableEnd = pageHeaderSize + elementSize * layout.count;
  if (tableEnd + layout.length !== bytes.length) return sizeProblem;
  for (let row = pageHeaderSize; row < tableEnd; row += elementSize) {
    if (view.getUint32(row, true) === bucketFlag) return "its page holds a bucket";
  }
  return undefined;
}

export function decodeBucketSummary(encoded: Buffer): BucketSummary {
  const mark = encoded.readUInt8();
  if (mark === treeMark) return { kind: "tree", root: readU64(viewOf(encoded), 1) };
  if (mark === damagedMark) {
    return { kind: "damaged", problem: encoded.length === 1 ? undefined : encoded.toString("latin1", 1) };
  }
  const pairs: number[] = [];
  for (let at = pairsAt; at < encoded.length; at += 4) pairs.push(encoded.readUInt32LE(at));
  const leaf: InlineLeaf = {
    count: encoded.readUInt16LE(1),
    length: encoded.readUInt32LE(3),
    crc: encoded.readUInt32LE(7),
    summaryRef: encoded.readUIntLE(11, 6),
    lastKey: { bytes: encoded, from: lastKeyAt, to: pairsAt },
    pairs,
  };
  return { kind: "inline", leaf };
}
