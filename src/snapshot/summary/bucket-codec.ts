import { decodeBucket } from "../../bbolt/bucket.ts";
import type { KeySpan } from "../../bbolt/key-order.ts";
import { bucketFlag, type LeafLayout, type LeafSink, readLeaf, sizeProblem } from "../../bbolt/leaf.ts";
import { elementSize, pageHeaderSize, readU64, viewOf } from "../../bbolt/page.ts";

/** What is kept of the value of a bucket's pair: enough to add the bucket up, at a fraction of an inline one's size. */
export type KeptBucket =
  | { kind: "tree"; root: number }
  | { kind: "inline"; leaf: InlineLeaf }
  /** `problem` is of its inline page; undefined when it has neither a root nor an inline page. */
  | { kind: "damaged"; problem: string | undefined };

export interface InlineLeaf {
  count: number;
  length: number;
  crc: number;
  /** As the leaf's sink gave it. */
  summaryRef: number;
  /** The last key, of which only the first 8 bytes are kept. */
  lastKey: KeySpan;
  /** As the leaf's sink has them. */
  facts: number[];
}

/** Is told the pairs of an inline bucket's leaf. */
export interface InlineSink extends LeafSink {
  /** Of the last leaf: the places of its facts. */
  readonly facts: readonly number[];
}

const treeMark = 0;
const damagedMark = 1;
const inlineMark = 2;
/** An inline bucket: mark u8, count u16, length u32, CRC u32, note u48, start of the last key, facts u32 each. */
const lastKeyAt = 17;
const lastKeySize = 8;
const factsAt = lastKeyAt + lastKeySize;

/** Packs the value of a bucket's pair on `page`; an inline bucket's pairs are told to `sink`, and read into `layout`. */
export function packBucket(
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
  const { facts } = sink;
  const packed = Buffer.alloc(factsAt + 4 * facts.length);
  packed.writeUInt8(inlineMark);
  packed.writeUInt16LE(layout.count, 1);
  packed.writeUInt32LE(layout.length, 3);
  packed.writeUInt32LE(layout.crc, 7);
  packed.writeUIntLE(layout.summaryRef, 11, 6);
  const { bytes: keyBytes, from, to } = layout.lastKey;
  packed.set(keyBytes.subarray(from, Math.min(to, from + lastKeySize)), lastKeyAt);
  facts.forEach((fact, i) => packed.writeUInt32LE(fact, factsAt + 4 * i));
  return packed;
}

/** bbolt gives a bucket that holds a bucket pages of its own. */
function readInline(bytes: Uint8Array, page: number, sink: LeafSink, layout: LeafLayout): string | undefined {
  const view = viewOf(bytes);
  const problem = readLeaf(bytes, view, 0, bytes.length, page, sink, layout);
  if (problem !== undefined) return problem;
  const tableEnd = pageHeaderSize + elementSize * layout.count;
  if (tableEnd + layout.length !== bytes.length) return sizeProblem;
  for (let row = pageHeaderSize; row < tableEnd; row += elementSize) {
    if (view.getUint32(row, true) === bucketFlag) return "it holds a bucket";
  }
  return undefined;
}

export function unpackBucket(packed: Buffer): KeptBucket {
  const mark = packed.readUInt8();
  if (mark === treeMark) return { kind: "tree", root: readU64(viewOf(packed), 1) };
  if (mark === damagedMark) {
    return { kind: "damaged", problem: packed.length === 1 ? undefined : packed.toString("latin1", 1) };
  }
  const facts: number[] = [];
  for (let at = factsAt; at < packed.length; at += 4) facts.push(packed.readUInt32LE(at));
  const leaf: InlineLeaf = {
    count: packed.readUInt16LE(1),
    length: packed.readUInt32LE(3),
    crc: packed.readUInt32LE(7),
    summaryRef: packed.readUIntLE(11, 6),
    lastKey: { bytes: packed, from: lastKeyAt, to: factsAt },
    facts,
  };
  return { kind: "inline", leaf };
}
