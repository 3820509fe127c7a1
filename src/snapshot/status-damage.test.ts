import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { bytesOf, sealMeta, withTrailer, writeBolt } from "../../test/testdata/bolt-writer.ts";
import { pairsOf } from "../../test/testdata/key-histories.ts";
import { databaseOf, readInChunks, readWhole, snapshotFile } from "../../test/testdata/snapshot-files.ts";
import { history, pageSize, sample } from "./damage.fixture.ts";
import { readSnapshot } from "./read.ts";

const small = databaseOf("mixed-3.6");
const sound = readWhole(small);
const live = liveRegions(small);

test("a flipped bit changes the hash or is a violation in a page in use, and changes nothing elsewhere", () => {
  const bits = fc.oneof(
    fc.integer({ min: 0, max: small.length * 8 - 1 }),
    fc.constantFrom(...live).chain(([from, to]) => fc.integer({ min: from * 8, max: to * 8 - 1 })),
  );
  fc.assert(
    fc.property(bits, (bit) => {
      const at = Math.floor(bit / 8);
      const bytes = Buffer.from(small);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit % 8)), at);
      const reading = readWhole(bytes);
      if (live.some(([from, to]) => at >= from && at < to)) {
        const noticed = reading.violationCount > 0 || reading.status?.hash !== sound.status?.hash;
        assert.ok(noticed, `bit ${bit % 8} of byte ${at % 4096} of page ${Math.floor(at / 4096)}`);
      } else if (!live.some(([from]) => Math.floor(from / 4096) === Math.floor(at / 4096))) {
        assert.deepEqual(reading, sound);
      }
    }),
    { numRuns: 1500 },
  );
});

test("a flipped bit, a truncation or a zeroed page makes the trailer invalid", async () => {
  const file = snapshotFile("mixed-3.5");
  const damage = fc.oneof(
    fc.integer({ min: 0, max: file.length * 8 - 1 }).map((bit) => {
      const bytes = Buffer.from(file);
      bytes.writeUInt8(bytes.readUInt8(Math.floor(bit / 8)) ^ (1 << (bit % 8)), Math.floor(bit / 8));
      return bytes;
    }),
    fc.integer({ min: 0, max: file.length - 1 }).map((size) => file.subarray(0, size)),
    fc.integer({ min: 0, max: Math.floor(file.length / 4096) - 1 }).map((page) => {
      const bytes = Buffer.from(file);
      return bytes.fill(0, page * 4096, (page + 1) * 4096);
    }),
  );
  await fc.assert(
    fc.asyncProperty(damage, async (bytes) => {
      if (bytes.equals(file)) return;
      const reading = await readSnapshot(Readable.from([bytes]), { signal: new AbortController().signal });
      assert.notEqual(reading.trailer, "valid");
    }),
    { numRuns: 200 },
  );
});

test("random changes never make the reader throw", () => {
  const file = sample({ freelist: true });
  const sources = [
    bytesOf(file),
    small,
    bytesOf(writeBolt({ pageSize: 4096, buckets: { key: pairsOf(history) } })),
  ];
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    inHeader: fc.boolean(),
    with: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.constantFrom(Buffer.alloc(4, 255), Buffer.alloc(8, 255), Buffer.alloc(8), Buffer.from([1, 0, 0, 0])),
    ),
  });
  fc.assert(
    fc.property(fc.constantFrom(...sources), fc.array(change, { maxLength: 12 }), (source, changes) => {
      const bytes = Buffer.from(source);
      for (const { at, inHeader, with: patch } of changes) {
        const target = Math.floor(at * bytes.length);
        bytes.set(
          patch.subarray(0, bytes.length - target),
          inHeader ? target - (target % pageSize) + (target % 80) : target,
        );
      }
      for (const page of [0, 1])
        if (changes.length % 2 === 0) sealMeta(bytes.subarray(page * pageSize, (page + 1) * pageSize));
      const whole = readWhole(bytes);
      assert.deepEqual(readInChunks(bytes, [3333]), whole);
      assert.ok(whole.violations.length <= 100 && whole.violationCount >= whole.violations.length);
    }),
    { numRuns: 800 },
  );
});

test("random bytes are not a database", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000, size: "max" }), (bytes) => {
      const reading = readWhole(bytes);
      assert.equal(reading.status, undefined);
      assert.ok(reading.violationCount > 0);
    }),
    { numRuns: 300 },
  );
});

test("a sound file with a trailer has a valid trailer and no violations", async () => {
  const bytes = bytesOf(sample());
  const signal = new AbortController().signal;
  const reading = await readSnapshot(Readable.from([withTrailer(bytes)]), { signal });
  assert.equal(reading.trailer, "valid");
  assert.equal(reading.fileBytes, bytes.length + 32);
  assert.equal(reading.size, bytes.length);
  assert.deepEqual(reading.violations, []);
});

/**
 * The bytes of a real file that count: header, table and pairs of each leaf in use, headers and bodies of the metas.
 * Found by a walk of its own, not by the reader under test.
 */
function liveRegions(bytes: Buffer): [from: number, to: number][] {
  const regions: [number, number][] = [
    [0, 10],
    [4096, 4106],
    [16, 80],
    [4112, 4176],
  ];
  const visit = (page: number, isRoot: boolean) => {
    const at = page * 4096;
    const count = bytes.readUInt16LE(at + 10);
    let end = at + 16 + 16 * count;
    for (let row = at + 16; row < at + 16 + 16 * count; row += 16) {
      if (bytes.readUInt16LE(at + 8) === 1) {
        visit(Number(bytes.readBigUInt64LE(row + 8)), isRoot);
        continue;
      }
      const pair = row + bytes.readUInt32LE(row + 4);
      const value = pair + bytes.readUInt32LE(row + 8);
      end = value + bytes.readUInt32LE(row + 12);
      if (isRoot && bytes.readBigUInt64LE(value) !== 0n) visit(Number(bytes.readBigUInt64LE(value)), false);
    }
    // A branch's keys are not hashed. The root page holds sequences and page headers of inline buckets, which nothing
    // depends on.
    const to = isRoot ? at + 16 + 16 * count : end;
    if (bytes.readUInt16LE(at + 8) !== 1) {
      regions.push([at, to]);
      return;
    }
    // Nothing has to agree with the size of a branch's last key.
    const lastKeySize = at + 16 * count + 4;
    regions.push([at, lastKeySize], [lastKeySize + 4, to]);
  };
  visit(Number(bytes.readBigUInt64LE(32)), true);
  return regions;
}
