import assert from "node:assert/strict";
import { test } from "node:test";
import { conditionsSchema } from "./conditions.ts";
import { kinds } from "./kinds.ts";

for (const { kind, conditions, reasons } of kinds) {
  test(`every condition type and reason of ${kind} matches the schema`, () => {
    const { type, reason } = conditionsSchema.items.properties;
    for (const name of Object.keys(conditions)) assert.match(name, new RegExp(type.pattern));
    for (const name of Object.keys(reasons)) assert.match(name, new RegExp(reason.pattern));
  });

  test(`every condition type and reason of ${kind} has a sentence for its meaning`, () => {
    for (const meaning of [...Object.values(conditions), ...Object.values(reasons)])
      assert.match(meaning, /^[A-Za-z].+\.$/);
  });
}
