import assert from "node:assert/strict";
import { test } from "node:test";
import { byteRate } from "./byte-rate.ts";

test("a rate is bytes a second with a unit of Kubernetes", () => {
  const rates = ["1", "1000", "3Ki", "50Mi", "2Gi"].map((text) => byteRate(text, "--max-rate"));
  assert.deepEqual(rates, [1, 1000, 3072, 52_428_800, 2_147_483_648]);
});

test("anything else is refused: the message names the flag, and the hint what to write", () => {
  for (const text of ["", "0", "0Mi", "-1", "1.5Gi", "50MB", "50 Mi", "Mi", "1e6", "99999999999999999999"]) {
    assert.throws(
      () => byteRate(text, "--max-rate"),
      {
        code: "Usage",
        message: `--max-rate ${text} is not a number of bytes a second`,
        hint: /50Mi/,
      },
      text,
    );
  }
});
