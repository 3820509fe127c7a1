import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NewestFirst } from "./newest-first.ts";

test("the newest is the one of a sorted list after any changes", () => {
  const change = fc.record({
    key: fc.integer({ min: 0, max: 12 }).map(String),
    at: fc.option(fc.integer({ min: 0, max: 5 })),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const heap = new NewestFirst<string>();
      const expected = new Map<string, number>();
      for (const { key, at } of changes) {
        if (at === null) {
          heap.delete(key);
          expected.delete(key);
        } else {
          heap.set(key, at, key);
          expected.set(key, at);
        }
        const [newest] = [...expected].toSorted(([a, x], [b, y]) => y - x || (a > b ? -1 : 1));
        assert.equal(heap.newest()?.value, newest?.[0]);
        assert.equal(heap.size, expected.size);
      }
    }),
  );
});

test("10,000 additions and deletions make few comparisons each", () => {
  const heap = new NewestFirst<number>();
  for (let i = 0; i < 10_000; i++) heap.set(`${i}`, i, i);
  for (let i = 9_999; i >= 0; i--) heap.delete(`${i}`);
  assert.equal(heap.size, 0);
  // 4 a level, 14 levels.
  assert.ok(heap.comparisons < 20_000 * 56, `${heap.comparisons}`);
});
