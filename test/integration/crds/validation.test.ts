import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { rulesAt } from "../../../src/api/generate/reference.ts";
import { kinds } from "../../../src/api/v1alpha1/kinds.ts";
import type { Schema } from "../../../src/api/schema/schema.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { bounds, breakOne } from "./bounds.ts";
import { accepted, acceptedChanges, refused, refusedChanges } from "./cases.ts";
import { assertNames, causesOf, openCustomObjects } from "./client.ts";

const server = await startApiServer();
after(() => server[Symbol.asyncDispose]());
await server.applyCrds();
const { validate, change } = openCustomObjects(server.kubeconfigPath);

/** Causes of all refusals, as `KIND FIELD: MESSAGE`. */
const seen = new Set<string>();

describe("creating an object", () => {
  for (const { name, kind, spec } of accepted) {
    test(`${name} is accepted`, async () => {
      await validate(kind, spec);
    });
  }
  for (const { name, kind, spec, field, message } of refused) {
    test(`${name} is refused at ${field}`, async () => {
      const causes = await causesOf(validate(kind, spec));
      assertNames(causes, field, message);
      for (const cause of causes) seen.add(`${kind} ${cause.field}: ${cause.message}`);
    });
  }
});

describe("changing an object", () => {
  for (const [index, { name, kind, from, to, field, message }] of refusedChanges.entries()) {
    test(`${kind}: ${name} is refused at ${field}`, async () => {
      const causes = await causesOf(change(kind, `refused-${index}`, from, to));
      assertNames(causes, field, message);
      for (const cause of causes) seen.add(`${kind} ${cause.field}: ${cause.message}`);
    });
  }
  for (const [index, { name, kind, from, to }] of acceptedChanges.entries()) {
    test(`${kind}: ${name} is accepted`, async () => {
      await change(kind, `accepted-${index}`, from, to);
    });
  }
});

test("every validation rule refuses at least one of these cases", () => {
  const untested = kinds.flatMap(({ kind, spec }) =>
    allRules("spec", spec)
      .filter(
        ({ path, message }) =>
          ![...seen].some((line) => line.startsWith(`${kind} ${path}: `) && line.includes(message)),
      )
      .map(({ path, message }) => `${kind} ${path}: ${message}`),
  );
  assert.deepEqual(untested, []);
});

describe("a value one beyond its bound", () => {
  for (const { kind, spec } of kinds) {
    const examples = accepted.filter((example) => example.kind === kind).map((example) => example.spec);
    for (const bound of bounds(spec, ["spec"])) {
      const broken = breakOne(examples, bound);
      test(`${kind}: ${broken?.field ?? bound.path.join(".")} ${bound.message}`, async () => {
        assert.ok(broken, "no accepted case sets this field: add one");
        assertNames(await causesOf(validate(kind, broken.spec)), broken.field, bound.message);
      });
    }
  }
});

/** Every validation rule under a schema, with the path of its field. */
function allRules(path: string, schema: Schema): { path: string; message: string }[] {
  const inner =
    schema.type === "object" && "properties" in schema
      ? Object.entries(schema.properties).flatMap(([name, property]) => allRules(`${path}.${name}`, property))
      : [];
  return [...rulesAt(path, schema), ...inner];
}
