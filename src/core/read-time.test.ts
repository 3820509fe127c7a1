import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkReadTime } from "./read-time.ts";

const timeLimit = { ms: 3_600_000, timeoutName: "spec.timeoutSeconds", rateName: "spec.maxRate" };
const what = "the database of m1";

describe("a limit of the rate", () => {
  it("by which a read cannot end within the time limit is refused for good, with both numbers", () => {
    assert.throws(() => checkReadTime(8_000_000_000, { maxRate: 1_000_000, timeLimit }, { what }), {
      code: "InvalidConfiguration",
      permanent: true,
      message:
        "reading the database of m1 (8.0 GB) at 1.0 MB a second (spec.maxRate) takes 2h 13m, longer than the 1h 0m of spec.timeoutSeconds",
      hint: "raise spec.maxRate or spec.timeoutSeconds",
    });
  });

  const allowed = [
    ["by which the read ends just in time", 3_600_000_000, { maxRate: 1_000_000, timeLimit }],
    ["without a time limit", 2 ** 40, { maxRate: 1 }],
  ] as const;
  for (const [name, count, limits] of allowed)
    it(`${name} is accepted`, () => assert.doesNotThrow(() => checkReadTime(count, limits, { what })));

  it("is checked only where there is one", () => {
    assert.doesNotThrow(() => checkReadTime(2 ** 40, { timeLimit }, { what }));
  });
});
