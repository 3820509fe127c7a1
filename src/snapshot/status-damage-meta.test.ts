import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertViolation, changeMeta, damaged, pageSize, sample } from "./damage.fixture.ts";

test("the sample is sound", () => {
  for (const freelist of [true, false]) {
    const reading = damaged(sample({ freelist }), () => {});
    assert.deepEqual(reading.violations, []);
    assert.equal(reading.status?.liveKeys, 50);
  }
});

describe("metas", () => {
  const file = sample();
  const sound = damaged(file, () => {}).status;

  test("one damaged meta is a violation and the other is used", () => {
    for (const page of [0, 1]) {
      for (const [at, message] of [
        [16, /magic number/],
        [20, /format version/],
        [24, /checksum/],
        [40, /checksum/],
        [72, /checksum/],
      ] as const) {
        const reading = damaged(file, (bytes) => bytes.writeUInt8(0x99, page * pageSize + at));
        assertViolation(reading, page, message);
        assert.deepEqual(reading.status, sound);
      }
    }
  });

  test("a damaged header of a meta page is a violation", () => {
    const id = damaged(file, (bytes) => bytes.writeUInt8(7, pageSize));
    assertViolation(id, 1, /header has the id 7/);
    const type = damaged(file, (bytes) => bytes.writeUInt8(2, 8));
    assertViolation(type, 0, /header has the type 0x2/);
  });

  test("a stale meta is a violation and the newer one is used", () => {
    const reading = damaged(file, (bytes) => {
      changeMeta(bytes, 0, (meta) => {
        meta.writeBigUInt64LE(3n, 64);
        meta.writeBigUInt64LE(99n, 32);
      });
    });
    assertViolation(reading, 0, /stale: it is 3 transactions behind/);
    assert.deepEqual(reading.status, sound);
  });

  test("a file without a usable meta has no status", () => {
    const reading = damaged(file, (bytes) => bytes.fill(0, 0, 2 * pageSize));
    assert.equal(reading.status, undefined);
    assertViolation(reading, 0, /magic number is 0x0/);
    assertViolation(reading, -1, /not a bbolt database/);
  });

  test("a file of a big-endian machine is named as such", () => {
    const reading = damaged(file, (bytes) => {
      bytes.writeUInt32BE(0xed0cdaed, 16);
      bytes.writeUInt32BE(0xed0cdaed, pageSize + 16);
    });
    assert.equal(reading.status, undefined);
    assertViolation(reading, 0, /big-endian machine/);
  });

  test("a root beyond the file, a page size that is none and a huge high-water mark are violations", () => {
    const both = (change: (meta: Buffer) => void) =>
      damaged(file, (bytes) => [0, 1].forEach((page) => changeMeta(bytes, page, change)));
    const root = both((meta) => meta.writeBigUInt64LE(2n ** 60n, 32));
    assertViolation(root, 2 ** 60, /above the high-water mark/);
    assert.equal(root.status, undefined);
    const size = both((meta) => meta.writeUInt32LE(1000, 24));
    assertViolation(size, 0, /page size 1000/);
    const highWater = both((meta) => meta.writeBigUInt64LE(2n ** 62n, 56));
    assertViolation(highWater, -1, /file is truncated: it has \d+ of the 46116860184273\d+ pages/);
  });
});
