import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hashPauseMs } from "./hash-pace.ts";

describe("the pause between two HashKV", () => {
  const mebibyte = 2 ** 20;
  const cases = [
    [
      "is the time of the whole database at the rate",
      { dbSize: 100 * mebibyte, agoMs: 0 },
      50 * mebibyte,
      2000,
    ],
    [
      "counts from the beginning of the last call",
      { dbSize: 100 * mebibyte, agoMs: 1500 },
      50 * mebibyte,
      500,
    ],
    ["is over when the call took longer", { dbSize: 100 * mebibyte, agoMs: 2500 }, 50 * mebibyte, 0],
    ["is rounded up to whole milliseconds", { dbSize: 1, agoMs: 0 }, 3, 334],
    ["is none after an empty database", { dbSize: 0, agoMs: 0 }, 1, 0],
    ["is never longer than a timer can wait", { dbSize: 8 * 2 ** 30, agoMs: 0 }, 1, 2 ** 31 - 1],
  ] as const;
  for (const [what, last, maxRate, expected] of cases)
    it(what, () => assert.equal(hashPauseMs(last, maxRate), expected));
});
