import type { IntegerSchema, StringSchema } from "./schema.ts";

/** Text in a status. Fields of a status have no validation rules, since only the operator writes them. */
export function textField<const D extends string>(description: D) {
  return { type: "string", description } as const satisfies StringSchema;
}

/** A time in a status, as RFC 3339. */
export function timeField<const D extends string>(description: D) {
  return { type: "string", format: "date-time", description } as const satisfies StringSchema;
}

/** A number in a status, 0 or more. */
export function countField<const D extends string>(description: D) {
  return { type: "integer", format: "int64", minimum: 0, description } as const satisfies IntegerSchema;
}

export const observedGeneration = {
  type: "integer",
  format: "int64",
  minimum: -1,
  description:
    "The metadata.generation that the status describes; -1 until the operator has seen the object.",
} as const satisfies IntegerSchema;
