import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WordList } from "../../bbolt/word-list.ts";
import { runAtOnce } from "../slices.ts";
import { addRange, countLiveKeys } from "./live-keys.ts";

interface Entry {
  low: number;
  high: number;
  deleted: boolean;
}

/** Counts entries in leaves of three. The leaves lie in memory in another order than the one of the count. */
function count(entries: readonly Entry[]): number {
  const words = new WordList();
  const ranges = new WordList();
  const starts: [number, number][] = [];
  for (let from = 0; from < entries.length; from += 3) starts.push([from, 0]);
  // Half of the leaves do not follow the leaf before them.
  const inMemory = [...starts.filter((_, i) => i % 4 < 2), ...starts.filter((_, i) => i % 4 >= 2)];
  for (const start of inMemory) {
    start[1] = words.length;
    for (const { low, high, deleted } of entries.slice(start[0], start[0] + 3)) {
      words.push(low);
      words.push((high & ~1) | (deleted ? 1 : 0));
    }
  }
  for (const [from, place] of starts) addRange(ranges, place, Math.min(3, entries.length - from));
  return runAtOnce(countLiveKeys(words, ranges));
}

function countBySet(entries: readonly Entry[]): number {
  const live = new Set<string>();
  for (const { low, high, deleted } of entries) {
    // The table compares 63 bits of a hash, and stores a low half of 0 as 1.
    const key = `${low || 1} ${high >>> 1}`;
    if (deleted) live.delete(key);
    else live.add(key);
  }
  return live.size;
}

test("the last entry of a key decides whether the key exists", () => {
  const few = fc.integer({ min: 0, max: 3 });
  const half = fc.oneof(
    few,
    fc.integer({ min: 0, max: 0xffffffff }),
    few.map((n) => 0xffffffff - n),
  );
  const entry = fc.record({ low: half, high: half, deleted: fc.boolean() });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 200 }), (entries) =>
      assert.equal(count(entries), countBySet(entries)),
    ),
  );
});

test("more entries than fit in one table are counted in parts", () => {
  const entries: Entry[] = [];
  for (let i = 0; i < 1_500_000; i++) {
    const key = i % 700_001;
    entries.push({
      low: Math.imul(key, 0x9e3779b1) >>> 0,
      high: Math.imul(key, 0x85ebca6b) >>> 0,
      deleted: i > 700_000 && i % 3 === 0,
    });
  }
  assert.equal(count(entries), countBySet(entries));
});

test("a count yields after every 32,768 entries of each pass, in one range or in many", () => {
  for (const leaf of [14, 4_000_000]) {
    const words = new WordList();
    const ranges = new WordList();
    for (let i = 0; i < 4_000_000; i++) {
      words.push(Math.imul(i, 0x9e3779b1) >>> 0);
      words.push(Math.imul(i, 0x85ebca6b) >>> 0);
    }
    for (let at = 0; at < 4_000_000; at += leaf) {
      ranges.push(2 * at);
      ranges.push(Math.min(leaf, 4_000_000 - at));
    }
    const steps = Iterator.from(countLiveKeys(words, ranges)).toArray().length;
    // Four parts: a pass over all entries that sizes them, and one for each.
    assert.equal(steps, 5 * Math.floor(4_000_000 / 32_768));
  }
});

test("no entries are no keys", () => {
  assert.equal(count([]), 0);
});
