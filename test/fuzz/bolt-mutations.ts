import { sealMeta } from "../testdata/bolt-writer.ts";
import type { Random } from "../harness/random.ts";
import { edgeNumbers } from "./target.ts";

/** A page of a database. `at` is its byte offset. */
interface Page {
  bytes: Buffer;
  at: number;
  id: number;
  pageSize: number;
  pages: number;
  highWater: number;
}

type Mutation = (page: Page, random: Random) => void;

/** Changes one field of the bbolt format: of a header, a row or a branch, or of a meta page with its checksum. */
export function mutateStructure(bytes: Buffer, random: Random): void {
  const pageSize = bytes.length < 80 ? 0 : bytes.readUInt32LE(24);
  if (![1024, 2048, 4096, 8192].includes(pageSize) || bytes.length < 2 * pageSize) return;
  const pages = Math.floor(bytes.length / pageSize);
  const highWater = Number(bytes.readBigUInt64LE(56));
  const used: number[] = [];
  for (let id = 2; id < pages; id++) if (bytes.readUInt32LE(id * pageSize) === id) used.push(id);
  const id = used.length === 0 || random.oneIn(10) ? random.below(pages) : random.pick(used);
  random.pick(mutations)({ bytes, at: id * pageSize, id, pageSize, pages, highWater }, random);
}

function rowOf({ bytes, at, pageSize }: Page, random: Random): number {
  const count = Math.min(bytes.readUInt16LE(at + 10), pageSize / 16 - 1);
  return at + 16 + 16 * random.below(Math.max(1, count));
}

/** A page number: one of the file, one near the page itself, or a limit. */
function pageNumber({ id, pages, highWater }: Page, random: Random): bigint {
  return random.pick([
    () => BigInt(random.below(pages)),
    () => BigInt(id),
    () => BigInt(Math.max(0, id + random.below(5) - 2)),
    () =>
      BigInt(
        random.pick(
          [0, 1, 2, pages - 1, pages, highWater - 1, highWater, highWater + 1].filter(
            (n) => n >= 0 && n < 2 ** 63,
          ),
        ),
      ),
    () => random.pick([2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]),
  ])();
}

/** An edge value, or a value close to the present one. */
function near(value: number, random: Random): number {
  return random.oneIn(2) ? random.pick(edgeNumbers) : Math.max(0, value + random.below(9) - 4);
}

function changeMeta({ bytes, pageSize }: Page, random: Random, change: (meta: Buffer) => void): void {
  for (const at of random.pick([[0], [pageSize], [0, pageSize]])) {
    const meta = bytes.subarray(at, at + pageSize);
    change(meta);
    sealMeta(meta);
  }
}

const mutations: readonly Mutation[] = [
  (page, random) => page.bytes.writeBigUInt64LE(pageNumber(page, random), page.at),
  ({ bytes, at }, random) => bytes.writeUInt16LE(random.pick([0, 1, 2, 3, 4, 16, 0xffff]), at + 8),
  ({ bytes, at }, random) => bytes.writeUInt16LE(near(bytes.readUInt16LE(at + 10), random) % 65536, at + 10),
  ({ bytes, at }, random) => bytes.writeUInt32LE(near(bytes.readUInt32LE(at + 12), random) >>> 0, at + 12),
  // A word of a row: flags, position, sizes.
  (page, random) => {
    const word = rowOf(page, random) + 4 * random.below(4);
    page.bytes.writeUInt32LE(near(page.bytes.readUInt32LE(word), random) >>> 0, word);
  },
  // One child of a branch, or all of them, which may make a cycle.
  (page, random) => page.bytes.writeBigUInt64LE(pageNumber(page, random), rowOf(page, random) + 8),
  (page, random) => {
    const child = pageNumber(page, random);
    if (page.bytes.readUInt16LE(page.at + 8) !== 1) return;
    for (let row = 16; row + 16 <= page.pageSize; row += 16) {
      if (row < 16 + 16 * page.bytes.readUInt16LE(page.at + 10))
        page.bytes.writeBigUInt64LE(child, page.at + row + 8);
    }
  },
  // Fields of meta pages, with the right checksum.
  (page, random) =>
    changeMeta(page, random, (meta) =>
      meta.writeBigUInt64LE(pageNumber(page, random), random.pick([32, 48, 56, 64])),
    ),
  (page, random) =>
    changeMeta(page, random, (meta) =>
      meta.writeUInt32LE(random.pick(edgeNumbers), 16 + 4 * random.below(14)),
    ),
  (page, random) =>
    changeMeta(page, random, (meta) => {
      meta.writeBigUInt64LE(2n ** 40n, 56);
      meta.writeBigUInt64LE(BigInt(page.id), 48);
    }),
  // A copy of another page, with or without the right page number.
  (page, random) => {
    const from = random.below(page.pages) * page.pageSize;
    page.bytes.copyWithin(page.at, from, from + page.pageSize);
    if (random.oneIn(2)) page.bytes.writeBigUInt64LE(BigInt(page.id), page.at);
  },
  // Bytes of keys and values, with unchanged rows.
  ({ bytes, at, pageSize }, random) => {
    const start = at + Math.min(pageSize - 1, 16 + 16 * bytes.readUInt16LE(at + 10));
    const byte = start + random.below(at + pageSize - start);
    bytes[byte] = random.oneIn(2) ? random.below(256) : (bytes[byte] ?? 0) ^ (1 << random.below(8));
  },
  // The page number of a bucket's root, which is in the value of the pair.
  (page, random) => {
    const row = rowOf(page, random);
    const value = row + page.bytes.readUInt32LE(row + 4) + page.bytes.readUInt32LE(row + 8);
    if (value + 8 <= page.bytes.length) page.bytes.writeBigUInt64LE(pageNumber(page, random), value);
  },
  // A free list instead of the page.
  ({ bytes, at, pageSize, highWater }, random) => {
    bytes.writeUInt16LE(16, at + 8);
    let free = random.below(highWater + 1);
    for (let word = at + 16; word < at + pageSize; word += 8) {
      bytes.writeBigUInt64LE(BigInt(free), word);
      free += 1 + random.below(random.pick([2, 5_000_000]));
    }
    bytes.writeUInt16LE(random.pick([(pageSize - 16) / 8, 0xffff, 3]), at + 10);
    bytes.writeUInt32LE(0, at + 12);
  },
];
