import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytesField, keyValue, numberField } from "../../../test/testdata/bolt-writer.ts";
import { KeyValueScan } from "./key-value.ts";

function scan(bytes: Uint8Array, cuts: readonly number[] = []): { ok: boolean; hash: string } {
  const parser = new KeyValueScan();
  parser.begin();
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const to = Math.max(from, Math.min(cut, bytes.length));
    parser.feed(bytes, from, to);
    from = to;
  }
  parser.feed(bytes, from, bytes.length);
  const ok = parser.finish();
  return { ok, hash: `${parser.low} ${parser.high}` };
}

const hashOf = (key: string) => scan(keyValue({ key })).hash;
const text = (value: string) => Buffer.from(value);

test("the hash depends on the user key alone, for chunks of any size", () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 50 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 0, max: 2 ** 48 }),
      fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 6 }),
      (key, value, revision, cuts) => {
        const bytes = keyValue({ key, value, revision, lease: revision });
        assert.deepEqual(scan(bytes, cuts), { ok: true, hash: hashOf(key) });
      },
    ),
  );
});

test("a hundred thousand similar keys have hashes that all differ", () => {
  const hashes = new Set<string>();
  for (let i = 0; i < 50_000; i++) {
    hashes.add(hashOf(`/registry/pods/default/pod-${i}`));
    hashes.add(
      hashOf("\0".repeat(i % 250) + String.fromCharCode(1 + (i % 7)).repeat(1 + Math.floor(i / 250))),
    );
  }
  assert.ok(hashes.size > 50_000 + 50_000 * 0.99);
  const halves = new Set([...hashes].map((hash) => hash.split(" ")[0]));
  assert.ok(halves.size > hashes.size - 50, "one half of the hash distinguishes nearly all of them");
});

test("fields may come in any order; the last key counts; unknown fields are skipped", () => {
  const other = [
    numberField(6, 5),
    bytesField(5, text("v")),
    numberField(99, 1),
    bytesField(98, text("unknown")),
  ];
  const fixed = [Buffer.from([0x39, 1, 2, 3, 4, 5, 6, 7, 8]), Buffer.from([0x3d, 1, 2, 3, 4])];
  const keys = [bytesField(1, text("first")), bytesField(1, text("last"))];
  const bytes = Buffer.concat([...other, ...keys, ...fixed]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(scan(bytes, [cut]), { ok: true, hash: hashOf("last") });
  }
});

test("no bytes at all are a KeyValue with an empty key, as the revision bump of a restore writes it", () => {
  assert.deepEqual(scan(Buffer.alloc(0)), { ok: true, hash: hashOf("") });
  assert.notEqual(hashOf(""), hashOf("\0"));
});

test("bytes that are not a KeyValue are refused, for chunks of any size", () => {
  const whole = keyValue({ key: "key", value: text("value"), revision: 300, lease: 7 });
  const cases: Record<string, Buffer> = {
    "a key cut off": whole.subarray(0, 3),
    "a tag without its number": whole.subarray(0, -1),
    "a key that is a number": numberField(1, 5),
    "a lease that is text": bytesField(6, text("x")),
    "a field of number 0": Buffer.from([0x02, 0x00]),
    "a group": Buffer.from([0x7b, 0x7c]),
    "a number of eleven bytes": Buffer.from([0x10, ...Array(10).fill(0xff), 0x01]),
    "a number above 2^64": Buffer.from([0x10, ...Array(9).fill(0xff), 0x02]),
    "a length without end": Buffer.from([0x0a, ...Array(9).fill(0xff), 0x01]),
    "a fixed number cut off": Buffer.from([0x3d, 1, 2, 3]),
  };
  for (const [what, bytes] of Object.entries(cases)) {
    for (let cut = 0; cut <= bytes.length; cut++) assert.equal(scan(bytes, [cut]).ok, false, what);
  }
  const negative = Buffer.from([0x10, ...Array(9).fill(0xff), 0x01]);
  assert.equal(scan(negative).ok, true, "-1 takes ten bytes");
});
