import { matches } from "./cel-rules.ts";
import type { ArraySchema, MapSchema, OpaqueSchema, StringSchema } from "./schema.ts";

const quantityPattern = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";

/** A Kubernetes quantity. */
export function quantity<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    minLength: 1,
    maxLength: 32,
    "x-kubernetes-validations": [matches(quantityPattern, "must be a quantity, such as 8Gi or 500m")],
  } as const satisfies StringSchema;
}

/** Quantities by resource name, as in the resources of a container. */
export function quantities<const D extends string>(description: D) {
  return {
    type: "object",
    description,
    maxProperties: 10,
    additionalProperties: quantity("A quantity, such as 500m or 1Gi."),
  } as const satisfies MapSchema;
}

/** A part of a Pod's specification that the operator passes on unchanged. */
export function opaqueObject<const D extends string>(description: D) {
  return {
    type: "object",
    description,
    "x-kubernetes-preserve-unknown-fields": true,
  } as const satisfies OpaqueSchema;
}

/** A list of parts of a Pod's specification that the operator passes on unchanged. */
export function opaqueList<const D extends string>(description: D, item: string, maxItems: number) {
  return { type: "array", description, maxItems, items: opaqueObject(item) } as const satisfies ArraySchema;
}

/** Strings by name, such as labels. */
export function stringMap<const D extends string>(description: D, value: string) {
  return {
    type: "object",
    description,
    maxProperties: 50,
    additionalProperties: { type: "string", description: value, maxLength: 4096 },
  } as const satisfies MapSchema;
}
