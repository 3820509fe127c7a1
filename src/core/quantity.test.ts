import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQuantity } from "./quantity.ts";

test("a quantity is read as Kubernetes reads it", () => {
  const rows: [string, number][] = [
    ["8Gi", 8 * 2 ** 30],
    ["1.5G", 1.5e9],
    ["100M", 1e8],
    ["100Mi", 100 * 2 ** 20],
    ["500m", 0.5],
    ["2k", 2000],
    ["4Ki", 4096],
    ["7", 7],
  ];
  for (const [text, value] of rows) assert.equal(parseQuantity(text), value, text);
});

test("anything else is undefined", () => {
  for (const text of ["", "8 Gi", "-1", "1e3", "GiB", "8gi", "1.", ".5", "constructor"])
    assert.equal(parseQuantity(text), undefined, text);
});
