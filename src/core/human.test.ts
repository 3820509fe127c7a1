import assert from "node:assert/strict";
import { test } from "node:test";
import { age, bytes, duration } from "./human.ts";

for (const [count, text] of [
  [0, "0 B"],
  [9, "9 B"],
  [10, "10 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [1049, "1.0 kB"],
  [1050, "1.1 kB"],
  [9949, "9.9 kB"],
  [9950, "10 kB"],
  [24_500, "24 kB"],
  [24_576, "25 kB"],
  [20_480, "20 kB"],
  [21_500, "22 kB"],
  [999_449, "999 kB"],
  [999_499, "1000 kB"],
  [999_999, "1000 kB"],
  [1_000_000, "1.0 MB"],
  [2_097_152, "2.1 MB"],
  [1_000_000_000, "1.0 GB"],
  [122_500_000, "122 MB"],
  [8_589_934_592, "8.6 GB"],
  [1_000_000_000_000, "1.0 TB"],
  [1_000_000_000_000_000, "1.0 PB"],
  [Number.MAX_SAFE_INTEGER, "9.0 PB"],
] as const) {
  test(`${count} bytes are ${text}`, () => {
    assert.equal(bytes(count), text);
  });
}

for (const [milliseconds, text] of [
  [0, "0ms"],
  [340, "340ms"],
  [999, "999ms"],
  [999.9, "999ms"],
  [1000, "1.0s"],
  [12_440, "12.4s"],
  [59_900, "59.9s"],
  [59_999, "59.9s"],
  [60_000, "1m 0s"],
  [200_000, "3m 20s"],
  [3_599_999, "59m 59s"],
  [3_600_000, "1h 0m"],
  [7_500_000, "2h 5m"],
  [90_000_000, "25h 0m"],
] as const) {
  test(`${milliseconds} ms are ${text}`, () => {
    assert.equal(duration(milliseconds), text);
  });
}

for (const [seconds, text] of [
  [-5, "0s"],
  [0, "0s"],
  [45, "45s"],
  [119, "119s"],
  [120, "2m"],
  [7199, "119m"],
  [7200, "2h"],
  [172_799, "47h"],
  [172_800, "2d"],
  [1_036_800, "12d"],
] as const) {
  test(`an age of ${seconds} s is ${text}`, () => {
    const now = new Date("2026-08-20T12:00:00Z");
    assert.equal(age(new Date(now.getTime() - seconds * 1000), now), text);
  });
}
