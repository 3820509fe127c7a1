import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FairLine } from "./fair-line.ts";

const groupOf = (key: string) => key.slice(0, key.indexOf("/"));

function lineOf(...keys: string[]): FairLine {
  const line = new FairLine(groupOf);
  for (const key of keys) line.add(key);
  return line;
}

function drain(line: FairLine): string[] {
  const taken: string[] = [];
  for (let key = line.take(); key !== undefined; key = line.take()) taken.push(key);
  return taken;
}

test("groups take turns, and each group keeps its order", () => {
  const line = lineOf("a/1", "a/2", "a/3", "b/1", "c/1", "c/2");
  assert.deepEqual(drain(line), ["a/1", "b/1", "c/1", "a/2", "c/2", "a/3"]);
  assert.equal(line.size, 0);
});

test("a group of 10,000 keys delays the key of another by one turn", () => {
  const line = new FairLine(groupOf);
  for (let i = 0; i < 10_000; i++) line.add(`many/${i}`);
  line.add("few/1");
  assert.equal(line.placeOf("few/1"), 2);
  assert.deepEqual([line.take(), line.take()], ["many/0", "few/1"]);
});

test("a group that is not admitted keeps its turn", () => {
  const line = lineOf("a/1", "b/1", "b/2");
  assert.equal(
    line.take((group) => group !== "a"),
    "b/1",
  );
  assert.deepEqual(drain(line), ["a/1", "b/2"]);
});

test("places and the first keys are those in which the keys are taken", () => {
  const key = fc
    .tuple(fc.constantFrom("a", "b", "c"), fc.integer({ min: 0, max: 5 }))
    .map((k) => k.join("/"));
  fc.assert(
    fc.property(fc.array(key, { maxLength: 20 }), fc.nat(8), (keys, taken) => {
      const line = lineOf(...keys);
      for (let i = 0; i < taken; i++) line.take();
      const places = [...new Set(keys)].filter((k) => line.has(k)).map((k) => [k, line.placeOf(k)] as const);
      const first = line.first(4);
      const order = drain(line);
      assert.deepEqual(first, order.slice(0, 4));
      assert.deepEqual(Object.fromEntries(places), Object.fromEntries(order.map((k, i) => [k, i + 1])));
    }),
  );
});

test("a key that was deleted is not taken, and the others move up", () => {
  const line = lineOf("a/1", "b/1", "a/2");
  assert.equal(line.delete("b/1"), true);
  assert.equal(line.delete("b/1"), false);
  assert.deepEqual(drain(line), ["a/1", "a/2"]);
});
