import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bytesOf, keyValue, revisionKey, writeBolt } from "../../test/testdata/bolt-writer.ts";
import { readWhole } from "../../test/testdata/snapshot-files.ts";
import { assertViolation, damaged, first, longRun, pageSize, sample } from "./damage.fixture.ts";

const file = sample();
const leaf = first(file, "leaf", (page) => page > 4);
const branch = first(file, "branch", () => true);
const at = (page: number) => page * pageSize;
const cases: [what: string, page: number, message: RegExp, change: (bytes: Buffer) => unknown][] = [
  ["a zeroed leaf", leaf, /no branch or leaf header/, (b) => b.fill(0, at(leaf), at(leaf + 1))],
  ["a zeroed branch", branch, /no branch or leaf header/, (b) => b.fill(0, at(branch), at(branch + 1))],
  ["a leaf with another id", leaf, /no branch or leaf header/, (b) => b.writeUInt32LE(leaf + 1, at(leaf))],
  ["an id above 2^32", leaf, /no branch or leaf header/, (b) => b.writeUInt32LE(1, at(leaf) + 4)],
  ["a leaf of no type", leaf, /no branch or leaf header/, (b) => b.writeUInt16LE(3, at(leaf) + 8)],
  [
    "a leaf with a changed count",
    leaf,
    /table of pairs is damaged/,
    (b) => b.writeUInt16LE(1, at(leaf) + 10),
  ],
  [
    "a leaf with a huge count",
    leaf,
    /table of pairs is damaged/,
    (b) => b.writeUInt16LE(65535, at(leaf) + 10),
  ],
  [
    "a leaf with a changed overflow",
    leaf,
    /above the high-water|do not fill|damaged|past the end/,
    (b) => b.writeUInt32LE(1, at(leaf) + 12),
  ],
  [
    "a pair that lies elsewhere",
    leaf,
    /table of pairs is damaged/,
    (b) => b.writeUInt32LE(4000, at(leaf) + 20),
  ],
  [
    "a value longer than the page",
    leaf,
    /table of pairs is damaged/,
    (b) => b.writeUInt32LE(0xfffffff0, at(leaf) + 28),
  ],
  [
    "a leaf with a huge overflow",
    leaf,
    /damaged|do not fill|past the end/,
    (b) => b.writeUInt32LE(0xffffffff, at(leaf) + 12),
  ],
  [
    "a branch with a huge overflow",
    branch,
    /more pages than its keys can fill/,
    (b) => b.writeUInt32LE(0xffffffff, at(branch) + 12),
  ],
  ["a branch without children", branch, /no children/, (b) => b.writeUInt16LE(0, at(branch) + 10)],
  [
    "a branch with a changed key size",
    branch,
    /table of children is damaged/,
    (b) => b.writeUInt32LE(99, at(branch) + 20),
  ],
  [
    "a child above the high-water mark",
    2 ** 40,
    /above the high-water/,
    (b) => b.writeBigUInt64LE(2n ** 40n, at(branch) + 24),
  ],
  [
    "a child that is the branch itself",
    branch,
    /referenced more than once/,
    (b) => b.writeBigUInt64LE(BigInt(branch), at(branch) + 24),
  ],
  [
    "a child that is a meta page",
    0,
    /referenced more than once/,
    (b) => b.writeBigUInt64LE(0n, at(branch) + 24),
  ],
  [
    "a child twice",
    leaf,
    /referenced more than once/,
    (b) => {
      const child = b.readBigUInt64LE(at(branch) + 24);
      b.writeBigUInt64LE(child, at(branch) + 40);
      return b;
    },
  ],
];
for (const [what, page, message, change] of cases) {
  test(`${what} is a violation of its page, and no status is given`, () => {
    const reading = damaged(file, change);
    assert.equal(reading.status, undefined);
    if (what === "a child twice") assert.ok(reading.violations.some((v) => message.test(v.message)));
    else assertViolation(reading, page, message);
  });
}

describe("the order of keys", () => {
  test("keys out of order within a page are a violation", () => {
    const key = [3, 2].map((main) => ({ key: revisionKey(main), value: keyValue({ key: "a" }) }));
    const reading = damaged(sample({ key, inline: false }), () => {});
    assert.ok(reading.violations.some((v) => /not in strictly ascending order/.test(v.message)));
    assert.equal(reading.status, undefined);
  });

  test("the same key twice is a violation", () => {
    const key = [2, 2].map((main) => ({ key: revisionKey(main), value: keyValue({ key: "a" }) }));
    const reading = damaged(sample({ key, inline: false }), () => {});
    assert.ok(reading.violations.some((v) => /not in strictly ascending order/.test(v.message)));
  });

  test("keys out of order within a run of pages are a violation", () => {
    const value = keyValue({ key: "a", value: Buffer.alloc(2000) });
    for (const mains of [
      [2, 4, 3],
      [3, 2, 4],
      [2, 3, 3],
    ]) {
      const pairs = mains.map((main) => ({ key: revisionKey(main), value }));
      const users = mains.map((main) => ({ key: Buffer.alloc(3000, String(main)), value: Buffer.alloc(10) }));
      for (const buckets of [{ key: pairs }, { authUsers: users }]) {
        const reading = readWhole(bytesOf(writeBolt({ pageSize, buckets, minPairs: 3 })));
        assert.ok(reading.violations.some((v) => /not in strictly ascending order/.test(v.message)));
        assert.equal(reading.status, undefined);
      }
    }
  });
});

test("leaves out of order are violations of their parents' bounds", () => {
  const children = file.runs.get(branch)?.bytes;
  assert.ok(children !== undefined);
  const [one, two] = [children.readBigUInt64LE(24), children.readBigUInt64LE(40)];
  const reading = damaged(file, (bytes) => {
    bytes.writeBigUInt64LE(two, at(branch) + 24);
    bytes.writeBigUInt64LE(one, at(branch) + 40);
  });
  assertViolation(reading, Number(two), /not below the next key of its parent/);
  assertViolation(reading, Number(one), /below the key its parent gives for it/);
  assert.equal(reading.violationCount, 2);
});

test("damage inside a run of pages is a violation of its first page", () => {
  const run = longRun(file);
  const shorter = damaged(file, (bytes) => bytes.writeUInt32LE(1, at(run) + 12));
  assertViolation(shorter, run, /damaged/);
  const longer = damaged(file, (bytes) => bytes.writeUInt32LE(9, at(run) + 12));
  assertViolation(longer, run, /do not fill/);
});

test("a damaged inline bucket and a damaged root of a bucket are violations", () => {
  const root = file.runs.get(file.root)?.bytes ?? Buffer.alloc(0);
  const inline = root.lastIndexOf("term") - 32;
  const page = damaged(file, (bytes) => bytes.writeUInt16LE(700, at(file.root) + inline + 10));
  assertViolation(page, file.root, /inline bucket "meta"/);
  const type = damaged(file, (bytes) => bytes.writeUInt16LE(1, at(file.root) + inline + 8));
  assertViolation(type, file.root, /bucket "meta" has a damaged root/);
  assert.equal(type.status, undefined);
});
