import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { jitterMs } from "./jitter.ts";

/** A UID as Kubernetes makes them, from a number. */
function uid(number: number): string {
  const hex = createHash("md5").update(String(number)).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

describe("the jitter of a schedule", () => {
  it("is the same in every release", () => {
    assert.equal(jitterMs("0c5f2f4e-7a5b-4f0e-9f43-0d6a3a0f4b11", 300_000), 291469);
  });

  it("is nothing without a maximum, and whole milliseconds below it otherwise", () => {
    assert.equal(jitterMs(uid(1), 0), 0);
    for (const max of [1, 2, 1000, 86_400_000])
      for (let number = 0; number < 1000; number++) {
        const delay = jitterMs(uid(number), max);
        assert.ok(Number.isInteger(delay) && delay >= 0 && delay < max, `${delay} of ${max}`);
      }
  });

  it("spreads many schedules evenly", () => {
    const [schedules, parts] = [100_000, 100];
    const counts = Array.from({ length: parts }, () => 0);
    for (let number = 0; number < schedules; number++) {
      const part = Math.floor(jitterMs(uid(number), 300_000) / 3000);
      counts[part] = (counts[part] ?? 0) + 1;
    }
    const expected = schedules / parts;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // With 99 degrees of freedom the mean is 99 and the standard deviation 14.
    assert.ok(chiSquare > 50 && chiSquare < 170, `chi-square ${chiSquare}`);
  });
});
