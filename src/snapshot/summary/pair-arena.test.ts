import assert from "node:assert/strict";
import { test } from "node:test";
import { maxListedKey, maxListedValue, PairList } from "./pair-arena.ts";

const sizes = [0, 1, 17, 200, 4000, maxListedValue];

/** `count` different pairs; every chunk of a list is crossed by some. */
function somePairs(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    key: Buffer.alloc((i * 37) % (maxListedKey + 1), "k"),
    value: Buffer.concat([Buffer.from(String(i)), Buffer.alloc(sizes[i % sizes.length] ?? 0, i)]).subarray(
      0,
      maxListedValue,
    ),
  }));
}

test("pairs are read back as they were, wherever they come to lie", () => {
  const list = new PairList();
  const pairs = somePairs(200);
  const places = pairs.map(({ key, value }) => list.add(key, value));
  pairs.forEach(({ key, value }, i) => {
    const found = list.get(places[i] ?? 0);
    assert.ok(found.key.equals(key) && found.value.equals(value), `pair ${i}`);
    assert.equal(list.find(key, value), places[i]);
  });
  assert.ok(!places.includes(0));
});

test("a pair split elsewhere between key and value is another pair", () => {
  const list = new PairList();
  list.add(Buffer.from("a"), Buffer.from("bc"));
  assert.equal(list.find(Buffer.from("ab"), Buffer.from("c")), 0);
});

test("a pair that was added long ago is not found, but its place stays good", () => {
  const list = new PairList();
  const pair = (i: number) => ({ key: Buffer.from(String(i)), value: Buffer.alloc(0) });
  const place = list.add(pair(0).key, pair(0).value);
  for (let i = 1; i <= 100_000; i++) list.add(pair(i).key, pair(i).value);
  assert.equal(list.find(pair(0).key, pair(0).value), 0);
  assert.equal(list.get(place).key.toString(), "0");
});
