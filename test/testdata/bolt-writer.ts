import { createHash } from "node:crypto";

/** A key-value pair of a bucket. */
export interface Pair {
  key: Uint8Array;
  value: Uint8Array;
}

export interface BoltOptions {
  pageSize: number;
  /** Pairs in ascending order of keys, by bucket. */
  buckets: Record<string, readonly Pair[]>;
  /** Small buckets are stored in their parent's page, as in bbolt. true when not given. */
  inline?: boolean;
  /** A leaf has at least this many pairs, with overflow pages where needed; 2 when not given. */
  minPairs?: number;
  /** Write the free list, with the pages that `gap` left unused. */
  freelist?: boolean;
  /** Pages left unused before a run of `size` pages is placed at `next`; 0 when not given. */
  gap?: (next: number, size: number) => number;
}

/** A hand-made bbolt file: runs of pages by their first page. The other pages are zero. */
export interface BoltFile {
  pageSize: number;
  highWater: number;
  root: number;
  freelist: number | undefined;
  runs: Map<number, { kind: "leaf" | "branch" | "freelist" | "meta"; bytes: Buffer; used: number }>;
  /** Pages that belong to no run. */
  unused: number[];
}

const noFreelist = 0xffffffffffffffffn;

/** Lays out buckets as bbolt does: leaves filled in order, branches above them, meta pages last. */
export function writeBolt(options: BoltOptions): BoltFile {
  const { pageSize, gap = () => 0, inline = true, minPairs = 2 } = options;
  const runs: BoltFile["runs"] = new Map();
  const unused: number[] = [];
  let next = 2;

  function place(kind: "leaf" | "branch" | "freelist", used: number, fill: (bytes: Buffer) => void): number {
    const size = Math.ceil(used / pageSize);
    for (let skip = gap(next, size); skip > 0; skip--) unused.push(next++);
    const page = next;
    next += size;
    const bytes = Buffer.alloc(size * pageSize);
    fill(bytes);
    writeHeader(bytes, page, { leaf: 2, branch: 1, freelist: 16 }[kind], bytes.readUInt16LE(10), size - 1);
    runs.set(page, { kind, bytes, used });
    return page;
  }

  function tree(pairs: readonly LeafPair[]): number {
    let level = split(pairs, { pageSize, least: minPairs }, (pair) => 16 + pair.key.length + pair.value.length).map((group) => ({
      key: group[0]?.key ?? Buffer.alloc(0),
      page: place("leaf", leafSize(group), (bytes) => writeLeaf(bytes, group)),
    }));
    while (level.length > 1) {
      level = split(level, { pageSize, least: 2 }, (child) => 16 + child.key.length).map((group) => ({
        key: group[0]?.key ?? Buffer.alloc(0),
        page: place("branch", branchSize(group), (bytes) => writeBranch(bytes, group)),
      }));
    }
    return level[0]?.page ?? 0;
  }

  const buckets = Object.entries(options.buckets)
    .map(([name, pairs]) => ({ key: Buffer.from(name), pairs }))
    .sort((a, b) => Buffer.compare(a.key, b.key));
  const top: LeafPair[] = buckets.map(({ key, pairs }) => {
    const value = Buffer.alloc(16);
    if (inline && leafSize(pairs) <= pageSize / 4) {
      const page = Buffer.alloc(leafSize(pairs));
      writeLeaf(page, pairs);
      writeHeader(page, 0, 2, pairs.length, 0);
      return { flags: 1, key, value: Buffer.concat([value, page]) };
    }
    value.writeBigUInt64LE(BigInt(tree(pairs)));
    return { flags: 1, key, value };
  });
  const root = tree(top);
  let freelist: number | undefined;
  if (options.freelist === true) {
    freelist = place("freelist", 16 + 8 * (unused.length + 64), (bytes) => {
      unused.forEach((page, i) => bytes.writeBigUInt64LE(BigInt(page), 16 + 8 * i));
      bytes.writeUInt16LE(unused.length, 10);
    });
  }
  const file: BoltFile = { pageSize, highWater: next, root, freelist, runs, unused };
  for (const page of [0, 1]) {
    const bytes = Buffer.alloc(pageSize);
    writeHeader(bytes, page, 4, 0, 0);
    writeMeta(bytes, file, 7 - page);
    runs.set(page, { kind: "meta", bytes, used: 80 });
  }
  return file;
}

/** The file's bytes, without a trailer. */
export function bytesOf(file: BoltFile): Buffer {
  const bytes = Buffer.alloc(file.highWater * file.pageSize);
  for (const [page, run] of file.runs) run.bytes.copy(bytes, page * file.pageSize);
  return bytes;
}

/** The file's pages in order, run by run. The chunks of unused pages share one block of zeros. */
export function* chunksOf(file: BoltFile): Generator<Uint8Array> {
  const zeros = new Uint8Array(16 * file.pageSize);
  let next = 0;
  for (const [page, run] of [...file.runs].sort(([a], [b]) => a - b)) {
    for (; next < page; next += Math.min(16, page - next)) {
      yield zeros.subarray(0, Math.min(16, page - next) * file.pageSize);
    }
    yield run.bytes;
    next = page + run.bytes.length / file.pageSize;
  }
}

export function withTrailer(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, createHash("sha256").update(bytes).digest()]);
}

/** Writes the checksum of a meta page. */
export function sealMeta(page: Uint8Array): void {
  let hash = 0xcbf29ce484222325n;
  for (const byte of page.subarray(16, 72)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  Buffer.from(page.buffer, page.byteOffset, page.byteLength).writeBigUInt64LE(hash, 72);
}

/** A key of etcd's `key` bucket. */
export function revisionKey(main: number | bigint, sub = 0, tombstone = false): Buffer {
  const key = Buffer.alloc(tombstone ? 18 : 17, "t");
  key.writeBigInt64BE(BigInt(main), 0);
  key.write("_", 8);
  key.writeBigInt64BE(BigInt(sub), 9);
  return key;
}

/** mvccpb.KeyValue, with fields in order and zero values left out, as etcd writes it. */
export function keyValue(fields: {
  key: Uint8Array | string;
  value?: Uint8Array;
  revision?: number;
  lease?: number;
}): Buffer {
  const { key, value = Buffer.alloc(0), revision = 0, lease = 0 } = fields;
  return Buffer.concat([
    bytesField(1, Buffer.from(key)),
    ...(revision === 0 ? [] : [2, 3].map((field) => numberField(field, revision))),
    ...(revision === 0 ? [] : [numberField(4, 1)]),
    bytesField(5, value),
    ...(lease === 0 ? [] : [numberField(6, lease)]),
  ]);
}

export function bytesField(field: number, value: Uint8Array): Buffer {
  return value.length === 0
    ? Buffer.alloc(0)
    : Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

export function numberField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

type LeafPair = Pair & { flags?: number };
type Child = { key: Uint8Array; page: number };

/** Groups of items that fit a page or have the least number; one empty group for no items. */
function split<T>(items: readonly T[], limits: { pageSize: number; least: number }, sizeOf: (item: T) => number): T[][] {
  const groups: T[][] = [[]];
  let size = 16;
  for (const item of items) {
    const group = groups.at(-1) ?? [];
    if (group.length >= limits.least && size + sizeOf(item) > limits.pageSize) {
      groups.push([item]);
      size = 16 + sizeOf(item);
    } else {
      group.push(item);
      size += sizeOf(item);
    }
  }
  return groups;
}

function leafSize(pairs: readonly Pair[]): number {
  return pairs.reduce((size, pair) => size + 16 + pair.key.length + pair.value.length, 16);
}

function branchSize(children: readonly Child[]): number {
  return children.reduce((size, child) => size + 16 + child.key.length, 16);
}

function writeHeader(bytes: Buffer, page: number, flags: number, count: number, overflow: number): void {
  bytes.writeBigUInt64LE(BigInt(page), 0);
  bytes.writeUInt16LE(flags, 8);
  bytes.writeUInt16LE(count, 10);
  bytes.writeUInt32LE(overflow, 12);
}

function writeLeaf(bytes: Buffer, pairs: readonly LeafPair[]): void {
  bytes.writeUInt16LE(pairs.length, 10);
  let at = 16 + 16 * pairs.length;
  pairs.forEach(({ flags = 0, key, value }, i) => {
    const row = 16 + 16 * i;
    bytes.writeUInt32LE(flags, row);
    bytes.writeUInt32LE(at - row, row + 4);
    bytes.writeUInt32LE(key.length, row + 8);
    bytes.writeUInt32LE(value.length, row + 12);
    bytes.set(key, at);
    bytes.set(value, at + key.length);
    at += key.length + value.length;
  });
}

function writeBranch(bytes: Buffer, children: readonly Child[]): void {
  bytes.writeUInt16LE(children.length, 10);
  let at = 16 + 16 * children.length;
  children.forEach(({ key, page }, i) => {
    const row = 16 + 16 * i;
    bytes.writeUInt32LE(at - row, row);
    bytes.writeUInt32LE(key.length, row + 4);
    bytes.writeBigUInt64LE(BigInt(page), row + 8);
    bytes.set(key, at);
    at += key.length;
  });
}

function writeMeta(bytes: Buffer, file: BoltFile, txid: number): void {
  bytes.writeUInt32LE(0xed0cdaed, 16);
  bytes.writeUInt32LE(2, 20);
  bytes.writeUInt32LE(file.pageSize, 24);
  bytes.writeBigUInt64LE(BigInt(file.root), 32);
  bytes.writeBigUInt64LE(file.freelist === undefined ? noFreelist : BigInt(file.freelist), 48);
  bytes.writeBigUInt64LE(BigInt(file.highWater), 56);
  bytes.writeBigUInt64LE(BigInt(txid), 64);
  sealMeta(bytes);
}
