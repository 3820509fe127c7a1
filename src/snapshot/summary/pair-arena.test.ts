import assert from "node:assert/strict";
import { test } from "node:test";
import { maxValueBytes, PairArena } from "./pair-arena.ts";

const maxKeyBytes = 255;
const sizes = [0, 1, 17, 200, 4000, maxValueBytes];

/** `count` different pairs; 200 of them fill several chunks of an arena. */
function somePairs(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    key: Buffer.alloc((i * 37) % (maxKeyBytes + 1), "k"),
    value: Buffer.concat([Buffer.from(String(i)), Buffer.alloc(sizes[i % sizes.length] ?? 0, i)]).subarray(
      0,
      maxValueBytes,
    ),
  }));
}

test("pairs are read back as they were added, in any chunk", () => {
  const arena = new PairArena();
  const pairs = somePairs(200);
  const addresses = pairs.map(({ key, value }) => arena.add(key, value));
  pairs.forEach(({ key, value }, i) => {
    const stored = arena.get(addresses[i] ?? 0);
    assert.ok(stored.key.equals(key) && stored.value.equals(value), `pair ${i}`);
    assert.equal(arena.find(key, value), addresses[i]);
  });
  assert.ok(!addresses.includes(0));
});

test("pairs with equal bytes and different key lengths are different pairs", () => {
  const arena = new PairArena();
  arena.add(Buffer.from("a"), Buffer.from("bc"));
  assert.equal(arena.find(Buffer.from("ab"), Buffer.from("c")), 0);
});

test("a pair that left the index is not found, but its address stays valid", () => {
  const arena = new PairArena();
  const pair = (i: number) => ({ key: Buffer.from(String(i)), value: Buffer.alloc(0) });
  const address = arena.add(pair(0).key, pair(0).value);
  for (let i = 1; i <= 100_000; i++) arena.add(pair(i).key, pair(i).value);
  assert.equal(arena.find(pair(0).key, pair(0).value), 0);
  assert.equal(arena.get(address).key.toString(), "0");
});
