import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertViolation, damaged, first, pageSize, sample } from "./damage.fixture.ts";

describe("free list", () => {
  const file = sample({ freelist: true });
  const list = file.freelist ?? 0;
  const at = list * pageSize;

  test("a page both free and in use is a violation", () => {
    const leaf = first(file, "leaf", (page) => page > (file.unused[0] ?? 0) && page < (file.unused[1] ?? 0));
    const reading = damaged(file, (bytes) => bytes.writeBigUInt64LE(BigInt(leaf), at + 16));
    assertViolation(reading, leaf, /in use and on the free list/);
    assertViolation(reading, file.unused[0] ?? 0, /neither in use nor on the free list/);
  });

  test("a free page above the high-water mark is a violation", () => {
    const count = file.unused.length;
    const reading = damaged(file, (bytes) => bytes.writeBigUInt64LE(5000n, at + 8 + 8 * count));
    assertViolation(reading, 5000, /above the high-water mark/);
  });

  test("a free list out of order, cut or zeroed is a violation", () => {
    const order = damaged(file, (bytes) => bytes.writeBigUInt64LE(5000n, at + 16));
    assertViolation(order, list, /ascending/);
    const count = damaged(file, (bytes) => bytes.writeUInt16LE(0xfffe, at + 10));
    assert.ok(count.violationCount > 0);
    const zeroed = damaged(file, (bytes) => bytes.fill(0, at, at + pageSize));
    assertViolation(zeroed, list, /no free list header/);
  });

  test("a count of more than 65534 is read from the first id", () => {
    const reading = damaged(file, (bytes) => {
      bytes.copyWithin(at + 24, at + 16, at + 16 + 8 * file.unused.length);
      bytes.writeBigUInt64LE(BigInt(file.unused.length), at + 16);
      bytes.writeUInt16LE(0xffff, at + 10);
    });
    assert.deepEqual(reading.violations, []);
  });
});
