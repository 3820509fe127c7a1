import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PageSet } from "./page-set.ts";

test("a set holds the pages added, and none beside them", () => {
  const page = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
  fc.assert(
    fc.property(fc.array(page, { maxLength: 60 }), fc.array(page, { maxLength: 60 }), (added, others) => {
      const set = new PageSet();
      for (const one of added) set.add(one);
      for (const one of [...added, ...others]) assert.equal(set.has(one), added.includes(one), `page ${one}`);
    }),
  );
});
