import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bytesOf, keyValue, type Pair, revisionKey } from "../../test/testdata/bolt-writer.ts";
import { readWhole } from "../../test/testdata/snapshot-files.ts";
import { assertViolation, damaged, pageSize, sample } from "./damage.fixture.ts";

describe("entries of the key bucket", () => {
  const value = keyValue({ key: "a", value: Buffer.from("v"), revision: 3 });
  const marked = Buffer.concat([revisionKey(3), Buffer.from("x")]);
  const cases: [what: string, pair: Pair, message: RegExp][] = [
    ["a key of 16 bytes", { key: revisionKey(3).subarray(0, 16), value }, /invalid revision length/],
    [
      "a key of 19 bytes",
      { key: Buffer.concat([revisionKey(3), Buffer.from("tt")]), value },
      /invalid revision length/,
    ],
    ["a key without _", { key: Buffer.alloc(17, 3), value }, /no '_'/],
    ["a negative main revision", { key: revisionKey(-3n), value }, /negative revision/],
    ["a negative sub revision", { key: revisionKey(3, -1), value }, /negative revision/],
    ["a revision above 2^53", { key: revisionKey(2n ** 53n), value }, /revision above 2\^53/],
    ["a key with another mark", { key: marked, value }, /its last byte is not/],
    [
      "a value that is not a KeyValue",
      { key: revisionKey(3), value: Buffer.from([0x0a, 0x50]) },
      /value is not a KeyValue/,
    ],
    ["a cut value", { key: revisionKey(3), value: value.subarray(0, -1) }, /value is not a KeyValue/],
  ];
  for (const [what, pair, message] of cases) {
    test(`${what} is a violation`, () => {
      for (const inline of [true, false]) {
        const reading = damaged(sample({ inline, key: [pair] }), () => {});
        assert.equal(reading.violationCount, 1);
        assert.match(reading.violations[0]?.message ?? "", message);
      }
    });
  }

  test("a bad value that crosses pages is a violation", () => {
    const large = keyValue({ key: "a", value: Buffer.alloc(5000), lease: 300 });
    for (const key of [large.subarray(0, -1), Buffer.concat([large, Buffer.from([0x0d])])]) {
      const reading = damaged(sample({ key: [{ key: revisionKey(3), value: key }] }), () => {});
      assert.match(reading.violations[0]?.message ?? "", /value is not a KeyValue/);
    }
  });
});

describe("files cut or lengthened", () => {
  const file = sample();
  const bytes = bytesOf(file);

  test("a file cut at any page names what is lost", () => {
    for (let pages = 2; pages < file.highWater; pages++) {
      const reading = readWhole(bytes.subarray(0, pages * pageSize));
      assertViolation(reading, -1, new RegExp(`it has ${pages} of the ${file.highWater} pages`));
    }
  });

  test("a file cut within a page is no whole number of pages", () => {
    assertViolation(readWhole(bytes.subarray(0, -100)), -1, /924 bytes into page/);
  });

  test("pages after the high-water mark are ignored, as bbolt does", () => {
    const reading = readWhole(Buffer.concat([bytes, Buffer.alloc(3 * pageSize, 7)]));
    assert.deepEqual(reading.violations, []);
    assert.deepEqual(reading.status, readWhole(bytes).status);
  });

  test("an empty file and one of a few bytes have no status", () => {
    for (const size of [0, 1, 15, 79, 80, 1023, 1024]) {
      const reading = readWhole(bytes.subarray(0, size));
      assert.equal(reading.status, undefined, `${size} bytes`);
      assert.ok(reading.violationCount > 0);
    }
  });
});
