import type { IntegerSchema, StringSchema } from "./schema.ts";

/** Fields of a status, which the operator alone writes: free of rules. */
export function textField<const D extends string>(description: D) {
  return { type: "string", description } as const satisfies StringSchema;
}

/** RFC 3339. */
export function timeField<const D extends string>(description: D) {
  return { type: "string", format: "date-time", description } as const satisfies StringSchema;
}

export function countField<const D extends string>(description: D) {
  return { type: "integer", format: "int64", minimum: 0, description } as const satisfies IntegerSchema;
}

export const observedGeneration = {
  type: "integer",
  format: "int64",
  minimum: -1,
  description:
    "The metadata.generation that the status speaks of; -1 before the operator has seen the object.",
} as const satisfies IntegerSchema;
