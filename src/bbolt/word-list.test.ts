import assert from "node:assert/strict";
import { test } from "node:test";
import { WordList } from "./word-list.ts";

test("words are kept in order across chunks", () => {
  const list = new WordList();
  const count = 200_000;
  for (let i = 0; i < 70_000; i++) list.push(i);
  assert.equal(
    list.append(
      Uint32Array.from({ length: count }, (_, i) => 70_000 + i),
      count - 70_000,
    ),
    70_000,
  );
  assert.equal(list.length, count);
  const seen: number[] = [];
  list.spans(65_000, 80_000, (words, from, to) => {
    for (let at = from; at < to; at++) seen.push(words[at] ?? -1);
  });
  assert.deepEqual(
    seen,
    Array.from({ length: 80_000 }, (_, i) => 65_000 + i),
  );
});

test("words may be far apart, and words that were never set are 0", () => {
  const list = new WordList();
  list.set(1_000_000_000, 7);
  assert.equal(list.get(1_000_000_000), 7);
  assert.equal(list.get(999_999_999), 0);
  assert.equal(list.get(5), 0);
  assert.equal(list.length, 1_000_000_001);
});
