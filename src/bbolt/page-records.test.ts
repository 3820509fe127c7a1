import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KeySpan } from "./key-order.ts";
import { PageRecords } from "./page-records.ts";

const span = (bytes: Uint8Array): KeySpan => ({ bytes, from: 0, to: bytes.length });
const textOf = ({ bytes, from, to }: KeySpan) => Buffer.from(bytes.subarray(from, to)).toString("hex");

const key = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 0, max: 700 }).map((zeros) => new Uint8Array(zeros)),
  fc.bigInt({ min: 0n, max: 2n ** 62n }).map((main) => {
    const revision = Buffer.alloc(17);
    revision.writeBigInt64BE(main);
    revision.write("_", 8);
    return new Uint8Array(revision);
  }),
);
const size = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const word = fc.integer({ min: 0, max: 0xffffffff });
const leaf = fc.record({
  kind: fc.constant("leaf" as const),
  totals: fc.record({
    overflow: word,
    count: fc.integer({ min: 1, max: 65535 }),
    crc: word,
    length: size,
    summaryRef: size,
  }),
  first: key,
  last: key,
});
const branch = fc.record({
  kind: fc.constant("branch" as const),
  overflow: word,
  elements: fc.array(fc.record({ key, child: size }), { maxLength: 30 }),
});
const broken = fc.record({
  kind: fc.constant("broken" as const),
  problem: fc.constantFrom("one", "another"),
});

test("the record of a page is read as it was added, in any order and beside pages without a record", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(leaf, branch, broken), { maxLength: 40 }), (pages) => {
      const records = new PageRecords();
      pages.forEach((page, i) => {
        if (page.kind === "leaf") records.addLeaf(3 * i, page.totals, span(page.first), span(page.last));
        else if (page.kind === "broken") records.addBroken(3 * i, page.problem);
        else {
          const keys = page.elements.map((element) => span(element.key));
          const children = page.elements.map((element) => element.child);
          records.addBranch(3 * i, page.overflow, keys, children);
        }
      });
      for (let i = pages.length - 1; i >= 0; i--) {
        const page = pages[i];
        const record = records.get(3 * i);
        assert.equal(records.get(3 * i + 1), undefined);
        assert.ok(page !== undefined && record !== undefined);
        if (page.kind === "leaf" && record.kind === "leaf") {
          const { kind: _, firstKey, lastKey, ...totals } = record;
          assert.deepEqual(totals, { ...page.totals });
          assert.equal(textOf(firstKey), Buffer.from(page.first).toString("hex"));
          assert.equal(textOf(lastKey), Buffer.from(page.last).toString("hex"));
        } else if (page.kind === "branch" && record.kind === "branch") {
          assert.equal(record.overflow, page.overflow);
          assert.deepEqual(
            record.children,
            page.elements.map((element) => element.child),
          );
          assert.deepEqual(
            record.keys.map(textOf),
            page.elements.map((e) => Buffer.from(e.key).toString("hex")),
          );
        } else {
          assert.deepEqual(record, { ...page });
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("two million leaves of revisions take less than a hundred megabytes", () => {
  const records = new PageRecords();
  const first = Buffer.alloc(17, 0);
  const last = Buffer.alloc(17, 0);
  first.write("_", 8);
  last.write("_", 8);
  const leaves = 2_000_000;
  for (let page = 0; page < leaves; page++) {
    first.writeUInt32BE(5 * page, 4);
    last.writeUInt32BE(5 * page + 4, 4);
    const totals = {
      overflow: 0,
      count: 5,
      crc: (page * 2654435761) % 2 ** 32,
      length: 4000,
      summaryRef: 80 * page,
    };
    records.addLeaf(page, totals, span(first), span(last));
  }
  assert.ok(records.size < 100_000_000, `${records.size} bytes`);
  const record = records.get(leaves - 1);
  assert.ok(record?.kind === "leaf");
  assert.equal(textOf(record.lastKey), last.toString("hex"));
});
