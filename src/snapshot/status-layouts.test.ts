import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type BoltFile,
  bytesOf,
  chunksOf,
  keyValue,
  type Pair,
  revisionKey,
  writeBolt,
} from "../../test/testdata/bolt-writer.ts";
import {
  liveKeysOf,
  namedPairs,
  type Operation,
  operations,
  pairsOf,
  statusHash,
} from "../../test/testdata/key-histories.ts";
import { readInChunks, readWhole } from "../../test/testdata/snapshot-files.ts";
import { createStatusReader, type SnapshotReading } from "./status.ts";

const pageSizes = [1024, 2048, 4096, 8192, 16384, 32768, 65536] as const;

function assertReads(
  reading: SnapshotReading,
  buckets: Record<string, readonly Pair[]>,
  liveKeys: number,
): void {
  assert.deepEqual(reading.violations, []);
  const { status } = reading;
  assert.ok(status !== undefined);
  assert.equal(status.hash, statusHash(buckets));
  assert.equal(status.liveKeys, liveKeys);
  assert.equal(status.pairs, Object.values(buckets).flat().length);
  const last = buckets["key"]?.at(-1)?.key;
  assert.equal(status.revision, last === undefined ? 0 : Number(Buffer.from(last).readBigInt64BE()));
}

test("any history reads the same at any page size, layout and chunk size", () => {
  fc.assert(
    fc.property(
      fc.record({
        pageSize: fc.constantFrom(...pageSizes),
        history: operations({ maxSize: 9000, maxLength: 150 }),
        users: namedPairs,
        inline: fc.boolean(),
        freelist: fc.boolean(),
        gap: fc.integer({ min: 0, max: 2 }),
        cut: fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 4 }),
      }),
      ({ pageSize, history, users, inline, freelist, gap, cut }) => {
        const buckets = { alarm: [], authUsers: users, key: pairsOf(history), lease: [] };
        const file = writeBolt({ pageSize, buckets, inline, freelist, gap: () => gap });
        const reading = readInChunks(bytesOf(file), cut);
        assertReads(reading, buckets, liveKeysOf(history));
        assert.equal(reading.status?.pageSize, pageSize);
      },
    ),
    { numRuns: 150 },
  );
});

test("stale pages whose runs overlap pages in use change nothing", () => {
  fc.assert(
    fc.property(
      fc.record({
        pageSize: fc.constantFrom(1024, 4096),
        history: operations({ maxSize: 6000, maxLength: 60 }),
        stale: fc.array(
          fc.record({
            overflow: fc.integer({ min: 0, max: 12 }),
            count: fc.integer({ min: 1, max: 3 }),
            kind: fc.constantFrom("leaf", "branch", "garbage", "bucket"),
          }),
          { minLength: 1, maxLength: 20 },
        ),
        cut: fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 4 }),
      }),
      ({ pageSize, history, stale, cut }) => {
        const buckets = { key: pairsOf(history), meta: [] };
        const file = writeBolt({ pageSize, buckets, gap: (next) => next % 3 });
        const bytes = bytesOf(file);
        file.unused.forEach((page, i) => {
          const { overflow, count, kind } = stale[i % stale.length] ?? {
            overflow: 0,
            count: 0,
            kind: "leaf",
          };
          writeStale(bytes, { page, pageSize, overflow, count, kind });
        });
        assertReads(readInChunks(bytes, cut), buckets, liveKeysOf(history));
      },
    ),
    { numRuns: 100 },
  );
});

/** Writes the first page of a run that was a leaf of `key`, a leaf of buckets or a branch. The rest is overwritten. */
function writeStale(
  bytes: Buffer,
  stale: { page: number; pageSize: number; overflow: number; count: number; kind: string },
): void {
  const { page, pageSize, overflow, count, kind } = stale;
  const at = page * pageSize;
  bytes.writeBigUInt64LE(BigInt(page), at);
  bytes.writeUInt16LE(kind === "branch" ? 1 : 2, at + 8);
  bytes.writeUInt16LE(count, at + 10);
  bytes.writeUInt32LE(overflow, at + 12);
  if (kind === "garbage") return;
  const valueSize = Math.floor(((overflow + 1) * pageSize - 16 - 34 * count) / count);
  for (let i = 0, pair = 16 + 16 * count; i < count; i++) {
    const row = 16 + 16 * i;
    if (kind === "branch") {
      bytes.writeUInt32LE(pair - row, at + row);
      bytes.writeUInt32LE(17, at + row + 4);
      bytes.writeBigUInt64LE(2n, at + row + 8);
      pair += 17;
      continue;
    }
    bytes.writeUInt32LE(kind === "bucket" ? 1 : 0, at + row);
    bytes.writeUInt32LE(pair - row, at + row + 4);
    bytes.writeUInt32LE(17, at + row + 8);
    bytes.writeUInt32LE(valueSize, at + row + 12);
    // Only the pairs on the stale page itself: the pages after it are in use.
    if (pair + 17 <= pageSize) revisionKey(1_000_000 + i).copy(bytes, at + pair);
    pair += 17 + valueSize;
  }
}

test("a value may hold bytes that look like pages", () => {
  const pageSize = 4096;
  const size = 20 * pageSize;
  const build = (value: Buffer) => {
    const key = [
      { key: revisionKey(2), value: keyValue({ key: "before", value: Buffer.alloc(500) }) },
      { key: revisionKey(3), value: keyValue({ key: "fake", value }) },
      { key: revisionKey(4), value: keyValue({ key: "after", value: Buffer.alloc(9000, "x") }) },
    ];
    return { buckets: { key }, file: writeBolt({ pageSize, buckets: { key } }) };
  };
  const marked = Buffer.alloc(size, 0xee);
  const layout = bytesOf(build(marked).file);
  const begin = layout.indexOf(marked);
  assert.ok(begin > 0);
  for (const [flags, overflow] of [
    [2, 0],
    [2, 30],
    [2, 0xffffffff],
    [1, 0],
    [1, 5],
    [1, 0xffffffff],
    [16, 3],
  ] as const) {
    const value = Buffer.from(marked);
    for (let page = Math.ceil(begin / pageSize); (page + 1) * pageSize < begin + size; page++) {
      const at = page * pageSize - begin;
      value.writeBigUInt64LE(BigInt(page), at);
      value.writeUInt16LE(flags, at + 8);
      value.writeUInt16LE(1, at + 10);
      value.writeUInt32LE(overflow, at + 12);
      value.writeUInt32LE(0, at + 16);
      value.writeUInt32LE(16, at + 20);
      value.writeUInt32LE(17, at + 24);
      value.writeUInt32LE(Math.min(0xfffffff0, 4096 * overflow + 100), at + 28);
      revisionKey(9).copy(value, at + 32);
    }
    const { buckets, file } = build(value);
    assertReads(readWhole(bytesOf(file)), buckets, 3);
  }
});

test("a file with thousands of overlapping runs is read to its end", () => {
  const pageSize = 1024;
  const pages = 6000;
  const history: Operation[] = [{ key: "a", size: 10 }];
  const file = writeBolt({ pageSize, buckets: { key: pairsOf(history) }, gap: () => pages });
  const bytes = bytesOf(file);
  for (const page of file.unused)
    writeStale(bytes, { page, pageSize, overflow: 1e6, count: 1, kind: "leaf" });
  assertReads(readWhole(bytes), { key: pairsOf(history) }, 1);
});

test("a run in use that more than 256 other runs overlap is a violation", () => {
  const pageSize = 1024;
  const pairs = pairsOf([{ key: "a", size: 5000 }]);
  const file = writeBolt({ pageSize, buckets: { key: pairs }, gap: (next) => (next === 2 ? 2000 : 0) });
  const bytes = bytesOf(file);
  for (const page of file.unused)
    writeStale(bytes, { page, pageSize, overflow: 1e5, count: 1, kind: "leaf" });
  const reading = readWhole(bytes);
  assert.equal(reading.status, undefined);
  assert.match(reading.violations[0]?.message ?? "", /more than 256 runs of pages overlap/);
});

test("a tall tree and a root that is a branch are read", () => {
  const names = Array.from({ length: 300 }, (_, i) => `bucket-${String(i).padStart(4, "0")}`);
  const pair = { key: Buffer.from("name"), value: Buffer.from("value") };
  const buckets: Record<string, readonly Pair[]> = Object.fromEntries(names.map((name) => [name, [pair]]));
  const history = Array.from({ length: 4000 }, (_, i) => ({
    key: `/${i % 900}`,
    size: i % 5 === 0 ? undefined : 30,
  }));
  buckets["key"] = pairsOf(history);
  const file = writeBolt({ pageSize: 1024, buckets });
  assert.equal(file.runs.get(file.root)?.kind, "branch");
  assertReads(readInChunks(bytesOf(file), [1000, 3]), buckets, liveKeysOf(history));
});

test("a key of 32 KiB that crosses pages is read", () => {
  const buckets = {
    authUsers: ["a", "b", "c"].map((letter) => ({
      key: Buffer.alloc(32768, letter),
      value: Buffer.from(letter),
    })),
    key: pairsOf([{ key: "k".repeat(5000), size: 0 }]),
  };
  for (const pageSize of [1024, 4096]) {
    const file = writeBolt({ pageSize, buckets });
    assertReads(readInChunks(bytesOf(file), [777]), buckets, 1);
  }
});

test("a file past 2^32 bytes is read with pages on both sides of it", () => {
  const pageSize = 65536;
  const history = Array.from({ length: 3000 }, (_, i) => ({ key: `/${i}`, size: (i % 7) * 20 }));
  const buckets = { key: pairsOf(history), meta: [] };
  let jumped = false;
  const gap = () => {
    if (jumped) return 0;
    jumped = true;
    return 65_530;
  };
  const file: BoltFile = writeBolt({ pageSize, buckets, gap, inline: false });
  const far = [...file.runs.keys()].filter((page) => page * pageSize >= 2 ** 32);
  assert.ok(far.length > 2);
  const reader = createStatusReader();
  for (const chunk of chunksOf(file)) reader.push(chunk);
  const reading = reader.finishAtOnce();
  assertReads(reading, buckets, 3000);
  assert.equal(reading.size, file.highWater * pageSize);
  assert.equal(reading.status?.totalSize, reading.size);
});
