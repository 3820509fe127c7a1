import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { retentionSchema } from "../../api/v1alpha1/retention.ts";
import { type KeepWithin, parseKeepWithin } from "./keep-within.ts";

const none: KeepWithin = { years: 0, months: 0, weeks: 0, days: 0, hours: 0 };

describe("keepWithin", () => {
  it("counts years, months, weeks, days and hours", () => {
    const rows: [string, Partial<KeepWithin>][] = [
      ["36h", { hours: 36 }],
      ["7d", { days: 7 }],
      ["2w", { weeks: 2 }],
      ["6m", { months: 6 }],
      ["1y", { years: 1 }],
      ["1y6m", { years: 1, months: 6 }],
      ["1y5m7d2h", { years: 1, months: 5, days: 7, hours: 2 }],
      ["0y007d", { days: 7 }],
      ["9999y9999m9999w9999d9999h", { years: 9999, months: 9999, weeks: 9999, days: 9999, hours: 9999 }],
    ];
    for (const [text, expected] of rows)
      assert.deepEqual(parseKeepWithin(text), { ...none, ...expected }, text);
  });

  it("says what it has to be when it is no time", () => {
    const texts = [
      "",
      "0d",
      "0y0h",
      "7",
      "d",
      "-7d",
      "7 d",
      "7D",
      "1.5d",
      "7d1y",
      "1d1d",
      "10000d",
      "30s",
      "7d\n",
    ];
    for (const text of texts) {
      const parsed = parseKeepWithin(text);
      assert.ok("problem" in parsed, text);
      assert.match(parsed.problem, /^must be a time such as 36h, 7d/);
    }
  });

  it("is read when the API server accepts it, and only then", () => {
    const { maxLength, "x-kubernetes-validations": rules } = retentionSchema.properties.keepWithin;
    const patterns = [...rules[0].rule.matchAll(/matches\(r?'([^']*)'\)/g)].map(
      ([, pattern = ""]) => pattern,
    );
    assert.equal(patterns.length, 2);
    const part = (unit: string) => fc.integer({ min: 0, max: 12_000 }).map((count) => `${count}${unit}`);
    const parts = fc.subarray(["y", "m", "w", "d", "h"]).chain((units) => fc.tuple(...units.map(part)));
    const texts = fc.oneof(
      parts.map((some) => some.join("")),
      fc.string({ unit: fc.constantFrom("0", "1", "79", "y", "m", "w", "d", "h", "-"), maxLength: 30 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const isAccepted =
          text.length <= maxLength && patterns.every((pattern) => new RegExp(pattern).test(text));
        assert.equal(!("problem" in parseKeepWithin(text)), isAccepted, text);
      }),
    );
  });
});
