import { isRecord } from "./record.ts";

/** The part of JSON Schema that the stored documents use. Unknown properties are allowed: later versions add them. */
export interface DocumentSchema {
  readonly type: "object" | "string" | "integer" | "boolean" | "array";
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, DocumentSchema>>;
  readonly items?: DocumentSchema;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly description?: string;
}

/** The first mismatch of a parsed JSON value with the schema, as `path: problem`; undefined when the value matches. */
export function findMismatch(value: unknown, schema: DocumentSchema, path = ""): string | undefined {
  const at = path === "" ? "document" : path;
  switch (schema.type) {
    case "object":
      return isRecord(value) ? objectMismatch(value, schema, path) : `${at}: must be an object`;
    case "array":
      return Array.isArray(value) ? arrayMismatch(value, schema, path) : `${at}: must be a list`;
    case "string":
      if (typeof value !== "string") return `${at}: must be a string`;
      if (schema.maxLength !== undefined && value.length > schema.maxLength)
        return `${at}: longer than ${schema.maxLength} characters`;
      if (schema.enum !== undefined && !schema.enum.includes(value))
        return `${at}: must be one of ${schema.enum.join(", ")}`;
      if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
        return `${at}: does not match ${schema.pattern}`;
      return undefined;
    case "integer":
      if (!Number.isSafeInteger(value)) return `${at}: must be a whole number`;
      return schema.minimum !== undefined && Number(value) < schema.minimum
        ? `${at}: less than ${schema.minimum}`
        : undefined;
    case "boolean":
      return typeof value === "boolean" ? undefined : `${at}: must be true or false`;
    default:
      return schema.type satisfies never;
  }
}

function objectMismatch(
  value: Record<string, unknown>,
  schema: DocumentSchema,
  path: string,
): string | undefined {
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) return `${join(path, name)}: missing`;
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (!Object.hasOwn(value, name)) continue;
    const mismatch = findMismatch(value[name], property, join(path, name));
    if (mismatch !== undefined) return mismatch;
  }
  return undefined;
}

function arrayMismatch(value: readonly unknown[], schema: DocumentSchema, path: string): string | undefined {
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    return `${path === "" ? "document" : path}: more than ${schema.maxItems} items`;
  if (schema.items === undefined) return undefined;
  for (const [index, item] of value.entries()) {
    const mismatch = findMismatch(item, schema.items, `${path}[${index}]`);
    if (mismatch !== undefined) return mismatch;
  }
  return undefined;
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
