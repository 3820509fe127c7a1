import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type DocumentSchema, findMismatch } from "./check-schema.ts";

const member: DocumentSchema = {
  type: "object",
  required: ["id", "lag"],
  properties: {
    id: { type: "string", pattern: "^[0-9a-f]+$", maxLength: 16 },
    lag: { type: "integer", minimum: 0 },
    leader: { type: "boolean" },
  },
};
const schema: DocumentSchema = {
  type: "object",
  required: ["version", "members"],
  properties: {
    version: { type: "integer", minimum: 1 },
    compression: { type: "string", enum: ["Zstd", "None"] },
    members: { type: "array", maxItems: 2, items: member },
    notes: { type: "array" },
    about: { type: "object" },
  },
};
const matching = {
  version: 1,
  compression: "None",
  members: [{ id: "8e9e", lag: 0, leader: true }],
  notes: [1, "x"],
};

test("a document that matches has no mismatch", () => {
  assert.equal(findMismatch(matching, schema), undefined);
});

test("properties that a later version adds are no mismatch", () => {
  const later = {
    ...matching,
    added: null,
    members: [{ id: "1", lag: 2, added: [] }],
    about: { any: "thing" },
  };
  assert.equal(findMismatch(later, schema), undefined);
});

for (const [what, value, mismatch] of [
  ["nothing", null, "document: must be an object"],
  ["a list for an object", [], "document: must be an object"],
  ["a missing property", { version: 1 }, "members: missing"],
  ["a property set to null", { ...matching, version: null }, "version: must be a whole number"],
  ["a number written as text", { ...matching, version: "1" }, "version: must be a whole number"],
  ["a fraction", { ...matching, version: 1.5 }, "version: must be a whole number"],
  ["a number too large to be exact", { ...matching, version: 2 ** 53 }, "version: must be a whole number"],
  ["a number below the minimum", { ...matching, version: 0 }, "version: less than 1"],
  [
    "a word that is not among those allowed",
    { ...matching, compression: "Gzip" },
    "compression: must be one of Zstd, None",
  ],
  ["an object for a list", { ...matching, members: {} }, "members: must be a list"],
  ["text for an object", { ...matching, about: "x" }, "about: must be an object"],
  ["too many items", { ...matching, members: [1, 2, 3] }, "members: more than 2 items"],
  [
    "an item that lacks a property",
    { ...matching, members: [matching.members[0], { id: "1" }] },
    "members[1].lag: missing",
  ],
  [
    "text of another form",
    { ...matching, members: [{ id: "XYZ", lag: 0 }] },
    "members[0].id: does not match ^[0-9a-f]+$",
  ],
  [
    "text that is too long",
    { ...matching, members: [{ id: "0".repeat(17), lag: 0 }] },
    "members[0].id: longer than 16 characters",
  ],
  ["a number for text", { ...matching, members: [{ id: 1, lag: 0 }] }, "members[0].id: must be a string"],
  [
    "a word for yes",
    { ...matching, members: [{ id: "1", lag: 0, leader: "yes" }] },
    "members[0].leader: must be true or false",
  ],
] as const) {
  test(`the mismatch of ${what} names its path: ${mismatch}`, () => {
    assert.equal(findMismatch(value, schema), mismatch);
  });
}

test("inherited properties of an object are not properties of a document", () => {
  const text: DocumentSchema = { type: "string" };
  const inherited: DocumentSchema = {
    type: "object",
    required: ["constructor"],
    properties: { toString: text, constructor: text },
  };
  assert.equal(findMismatch({}, inherited), "constructor: missing");
  assert.equal(findMismatch({ constructor: "x" }, inherited), undefined);
  assert.equal(
    findMismatch(JSON.parse('{"constructor":"x","__proto__":{"version":1}}'), inherited),
    undefined,
  );
  assert.equal(
    findMismatch(JSON.parse('{"__proto__":{"version":1,"members":[]}}'), schema),
    "version: missing",
  );
});

test("a document that is a list is called document in a mismatch", () => {
  assert.equal(findMismatch([1, 2], { type: "array", maxItems: 1 }), "document: more than 1 items");
});

const propertyName = fc.constantFrom("id", "name", "size", "parts", "__proto", "constructor", "toString");

/** A schema, and values that match it. */
const { node } = fc.letrec<{ node: { schema: DocumentSchema; values: fc.Arbitrary<unknown> } }>((tie) => ({
  node: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant({ schema: { type: "boolean" } as const, values: fc.boolean() }),
    fc.integer({ min: -5, max: 5 }).map((minimum) => ({
      schema: { type: "integer", minimum } as const,
      values: fc.maxSafeInteger().map((n) => Math.max(n, minimum)),
    })),
    fc.nat({ max: 5 }).map((maxLength) => ({
      schema: { type: "string", maxLength } as const,
      values: fc.string({ maxLength }).map((text) => text.slice(0, maxLength)),
    })),
    fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 3 }).map((words) => ({
      schema: { type: "string", enum: words } as const,
      values: fc.constantFrom(...words),
    })),
    fc.constantFrom("^[0-9a-f]{2,4}$", "^\\d+$").map((pattern) => ({
      schema: { type: "string", pattern } as const,
      values: fc.stringMatching(new RegExp(pattern)),
    })),
    fc.tuple(tie("node"), fc.nat({ max: 3 })).map(([items, maxItems]) => ({
      schema: { type: "array", maxItems, items: items.schema } as const,
      values: fc.array(items.values, { maxLength: maxItems }),
    })),
    fc
      .dictionary(propertyName, fc.tuple(tie("node"), fc.boolean()), { maxKeys: 4, noNullPrototype: true })
      .map((fields) => {
        const names = Object.keys(fields);
        const required = names.filter((name) => fields[name]?.[1] === true);
        const of = <T>(pick: (node: { schema: DocumentSchema; values: fc.Arbitrary<unknown> }) => T) =>
          Object.fromEntries(Object.entries(fields).map(([name, [field]]) => [name, pick(field)]));
        return {
          schema: { type: "object", required, properties: of((field) => field.schema) } as const,
          values: fc.record(
            of((field) => field.values),
            { requiredKeys: required },
          ),
        };
      }),
  ),
}));

test("a value that is built from a schema matches it", () => {
  fc.assert(
    fc.property(
      node.chain(({ schema, values }) => values.map((value) => ({ schema, value }))),
      ({ schema, value }) => {
        assert.equal(findMismatch(value, schema), undefined);
      },
    ),
    { numRuns: 300 },
  );
});

test("any JSON value gives a text or undefined, never an exception", () => {
  fc.assert(
    fc.property(node, fc.jsonValue(), ({ schema }, value) => {
      const mismatch = findMismatch(value, schema);
      if (mismatch !== undefined) assert.match(mismatch, /^[^:]+: \S/);
    }),
    { numRuns: 300 },
  );
});
