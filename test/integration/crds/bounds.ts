import type { Schema } from "../../../src/api/schema/schema.ts";

/** One bound of a schema, and a value that is one beyond it. */
export interface Bound {
  /** Keys from the root; 0 is the first item of a list, undefined is any entry of a map. */
  path: (string | number | undefined)[];
  /** The value beyond the bound; undefined removes the property. */
  broken: () => unknown;
  /** Part of the API server's message. */
  message: string;
}

/** Every enum, length, range, count and required property under a schema. */
export function bounds(schema: Schema, path: Bound["path"]): Bound[] {
  switch (schema.type) {
    case "string":
      return [
        ...at(path, schema.enum, () => "Nonsense", "Unsupported value"),
        ...at(path, schema.minLength, (n) => "a".repeat(n - 1), "should be at least"),
        ...at(path, schema.maxLength, (n) => "a".repeat(n + 1), "may not be more than"),
      ];
    case "integer":
      return [
        ...at(path, schema.minimum, (n) => n - 1, "should be greater than or equal to"),
        ...at(path, schema.maximum, (n) => n + 1, "should be less than or equal to"),
      ];
    case "boolean":
      return [];
    case "array":
      return [
        ...at(path, schema.minItems, () => [], "should have at least"),
        ...at(path, schema.maxItems, (n) => numbered(n + 1), "must have at most"),
        ...bounds(schema.items, [...path, 0]),
      ];
    case "object":
      if ("x-kubernetes-preserve-unknown-fields" in schema) return [];
      if (!("properties" in schema)) {
        return [
          ...at(path, schema.minProperties, () => ({}), "should have at least"),
          ...at(
            path,
            schema.maxProperties,
            (n) => Object.fromEntries(numbered(n + 1).map((key) => [key, key])),
            "must have at most",
          ),
          ...bounds(schema.additionalProperties, [...path, undefined]),
        ];
      }
      return [
        ...at(path, schema.minProperties, () => ({}), "should have at least"),
        ...(schema.required ?? []).map((name) => ({
          path: [...path, name],
          broken: () => undefined,
          message: "Required value",
        })),
        ...Object.entries(schema.properties).flatMap(([name, property]) => bounds(property, [...path, name])),
      ];
    default:
      return schema satisfies never;
  }
}

function at<T>(
  path: Bound["path"],
  limit: T | undefined,
  broken: (limit: T) => unknown,
  message: string,
): Bound[] {
  return limit === undefined ? [] : [{ path, broken: () => broken(limit), message }];
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `n${index}`);
}

/** A copy of the first spec that has the bounded field, with the value beyond the bound. `field` is its name in the API server's messages. */
export function breakOne(
  specs: readonly Record<string, unknown>[],
  { path, broken }: Bound,
): { spec: unknown; field: string } | undefined {
  for (const spec of specs) {
    const copy = structuredClone({ spec });
    let parent: unknown = copy;
    let field = "";
    for (const [index, step] of path.entries()) {
      if (!isRecord(parent)) break;
      const key = step ?? Object.keys(parent)[0] ?? "";
      if (!(key in parent)) break;
      field += typeof key === "number" ? "[]" : `${index === 0 ? "" : "."}${key}`;
      if (index < path.length - 1) {
        parent = parent[key];
        continue;
      }
      const value = broken();
      if (value === undefined) delete parent[key];
      else parent[key] = value;
      return { spec: copy.spec, field };
    }
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null;
}
