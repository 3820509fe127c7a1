import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs, fullJitter, halfJitter } from "./backoff.ts";

test("the delay doubles with each failure in a row, up to the maximum", () => {
  const delays = [1, 2, 3, 4, 5, 6].map((failures) => backoffMs(failures, { baseMs: 100, maxMs: 1_000 }));
  assert.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000]);
});

test("the delay stays finite after any number of failures", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (failures) => {
      const delay = backoffMs(failures, { baseMs: 1, maxMs: Number.POSITIVE_INFINITY });
      assert.ok(delay >= 1 && Number.isFinite(delay), `${delay}`);
    }),
  );
});

test("full jitter takes any share of the delay, half jitter at least half of it", () => {
  const shares = [0, 0.5, 0.999].map((value) => {
    const random = () => value;
    return [fullJitter(1_000, random), halfJitter(1_000, random)];
  });
  assert.deepEqual(shares, [
    [0, 500],
    [500, 750],
    [999, 999.5],
  ]);
});
