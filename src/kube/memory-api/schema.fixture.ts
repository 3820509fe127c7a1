import type { ArraySchema, IntegerSchema, Schema, StringSchema } from "../../api/schema/schema.ts";
import { isRecord } from "../../core/record.ts";

/** The value without nulls and without the fields that the schema does not declare. */
export function pruned(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value) && "items" in schema) return value.map((item) => pruned(schema.items, item));
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).flatMap(([name, field]): [string, unknown][] => {
    const declared = fieldSchema(schema, name);
    if (declared === "undeclared" || field === null) return [];
    return [[name, declared === "opaque" ? field : pruned(declared, field)]];
  });
  return Object.fromEntries(kept);
}

/** The value with the schema's defaults in the place of what is absent, as the API server fills them in. */
export function withDefaults(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value) && "items" in schema) return value.map((item) => withDefaults(schema.items, item));
  if (!isRecord(value)) return value;
  const filled = { ...value };
  if ("properties" in schema) {
    for (const [name, property] of Object.entries(schema.properties)) {
      const given = value[name] ?? ("default" in property ? property.default : undefined);
      if (given !== undefined) filled[name] = withDefaults(property, given);
    }
  } else if ("additionalProperties" in schema) {
    for (const [name, field] of Object.entries(value))
      filled[name] = withDefaults(schema.additionalProperties, field);
  }
  return filled;
}

/** What the schema forbids, each problem with the path of its field. Rules in CEL are not evaluated. */
export function* violations(schema: Schema, value: unknown, path: string): Generator<string> {
  const typeOfValue = jsonType(value);
  const fits = typeOfValue === schema.type || (schema.type === "integer" && Number.isInteger(value));
  if (!fits) {
    yield `${path}: Invalid value: "${typeOfValue}": ${path} in body must be of type ${schema.type}: "${typeOfValue}"`;
  } else if (schema.type === "string" && typeof value === "string") {
    yield* stringViolations(schema, value, path);
  } else if (schema.type === "integer" && typeof value === "number") {
    yield* integerViolations(schema, value, path);
  } else if (schema.type === "array" && Array.isArray(value)) {
    yield* arrayViolations(schema, value, path);
  } else if (isRecord(value)) {
    yield* objectViolations(schema, value, path);
  }
}

function* stringViolations(schema: StringSchema, value: string, path: string): Generator<string> {
  const refused = (why: string) => `${path}: Invalid value: "${value}": ${path} in body should ${why}`;
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const supported = schema.enum.map((name) => `"${name}"`).join(", ");
    yield `${path}: Unsupported value: "${value}": supported values: ${supported}`;
  }
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, format } = schema;
  if (value.length < minLength) yield refused(`be at least ${minLength} chars long`);
  if (value.length > maxLength) yield refused(`be at most ${maxLength} chars long`);
  if (pattern !== undefined && !new RegExp(pattern).test(value)) yield refused(`match '${pattern}'`);
  if (format === "date-time" && !dateTime.test(value)) yield refused("be of type date-time");
}

const dateTime = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function* integerViolations(schema: IntegerSchema, value: number, path: string): Generator<string> {
  const refused = (why: string) => `${path}: Invalid value: ${value}: ${path} in body should be ${why}`;
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  if (value < minimum) yield refused(`greater than or equal to ${minimum}`);
  if (value > maximum) yield refused(`less than or equal to ${maximum}`);
}

function* arrayViolations(schema: ArraySchema, value: unknown[], path: string): Generator<string> {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (value.length < minItems)
    yield `${path}: Invalid value: ${value.length}: should have at least ${minItems} items`;
  if (value.length > maxItems)
    yield `${path}: Too many: ${value.length}: must have at most ${maxItems} items`;
  const identities = value.map((item) => JSON.stringify(itemKey(schema, item) ?? item));
  const unique = listType(schema) === "atomic" || new Set(identities).size === identities.length;
  if (!unique) yield `${path}: Duplicate value`;
  for (const [index, item] of value.entries()) yield* violations(schema.items, item, `${path}[${index}]`);
}

function* objectViolations(schema: Schema, value: Record<string, unknown>, path: string): Generator<string> {
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const required = "required" in schema ? (schema.required ?? []) : [];
  for (const name of required) if (value[name] === undefined) yield `${at(name)}: Required value`;
  const { length } = Object.keys(value);
  const { minProperties = 0 } = "minProperties" in schema ? schema : {};
  const { maxProperties = Number.POSITIVE_INFINITY } = "maxProperties" in schema ? schema : {};
  if (length < minProperties)
    yield `${path}: Invalid value: should have at least ${minProperties} properties`;
  if (length > maxProperties) yield `${path}: Too many: ${length}: must have at most ${maxProperties} items`;
  for (const [name, field] of Object.entries(value)) {
    const declared = fieldSchema(schema, name);
    if (typeof declared === "object") yield* violations(declared, field, at(name));
  }
}

/**
 * The first field that server-side apply cannot read, or undefined. Apply refuses what it cannot read with HTTP status
 * 500, where a create would drop an undeclared field and answer 422 to a value of another type.
 */
export function unreadable(schema: Schema, value: unknown, path = ""): string | undefined {
  const type = jsonType(value);
  const wanted = schema.type === "integer" ? "number" : schema.type;
  if (type !== wanted) return `${path}: expected ${wanted}, got ${type}`;
  if (Array.isArray(value) && "items" in schema) {
    for (const [index, item] of value.entries()) {
      const key = itemKey(schema, item);
      if (key !== undefined && Object.values(key).includes(undefined))
        return `${path}: element ${index}: associative list with keys has an element that omits all key fields`;
      const problem = unreadable(schema.items, item, `${path}[${index}]`);
      if (problem !== undefined) return problem;
    }
  } else if (isRecord(value)) {
    for (const [name, field] of Object.entries(value)) {
      const declared = fieldSchema(schema, name);
      if (declared === "undeclared") return `${path}.${name}: field not declared in schema`;
      const problem = declared === "opaque" ? undefined : unreadable(declared, field, `${path}.${name}`);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

/** `opaque`: the field belongs to an object whose content is taken as it is. */
export function fieldSchema(schema: Schema, name: string): Schema | "opaque" | "undeclared" {
  if ("properties" in schema) return schema.properties[name] ?? "undeclared";
  if ("additionalProperties" in schema) return schema.additionalProperties;
  return "x-kubernetes-preserve-unknown-fields" in schema ? "opaque" : "undeclared";
}

export function listType(schema: Schema | undefined): "atomic" | "set" | "map" {
  return schema?.type === "array" ? (schema["x-kubernetes-list-type"] ?? "atomic") : "atomic";
}

/** The fields by which an item of a list of type `map` is found; undefined for other lists. */
export function itemKey(schema: ArraySchema, item: unknown): Record<string, unknown> | undefined {
  const names = schema["x-kubernetes-list-map-keys"];
  if (names === undefined || !isRecord(item)) return undefined;
  return Object.fromEntries(names.map((name) => [name, item[name]]));
}

function jsonType(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
