import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareKeys, compareSpans } from "./key-order.ts";
import { viewOf } from "./page.ts";

test("keys are ordered as byte strings, a prefix before the longer key", () => {
  const key = fc
    .uint8Array({ maxLength: 12 })
    .map((bytes) => Buffer.from(bytes.map((byte) => byte % 3 || 255)));
  fc.assert(
    fc.property(key, key, fc.boolean(), (a, rest, extend) => {
      const b = extend ? Buffer.concat([a, rest]) : rest;
      const expected = Buffer.compare(a, b);
      const padded = Buffer.concat([Buffer.from("pad"), a, b]);
      const views = compareKeys(viewOf(padded), 3, a.length, viewOf(padded), 3 + a.length, b.length);
      assert.equal(Math.sign(views), expected);
      const spans = compareSpans(
        { bytes: padded, from: 3, to: 3 + a.length },
        { bytes: padded, from: 3 + a.length, to: padded.length },
      );
      assert.equal(Math.sign(spans), expected);
    }),
    { numRuns: 500 },
  );
});
