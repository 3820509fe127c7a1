import { matches } from "./cel-rules.ts";
import type { ObjectSchema, StringSchema } from "./schema.ts";

/** The name of a Kubernetes object. */
export function objectName<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    minLength: 1,
    maxLength: 253,
    "x-kubernetes-validations": [
      matches(
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "must be the name of a Kubernetes object: lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit",
      ),
    ],
  } as const satisfies StringSchema;
}

/** The name of an etcd cluster in a store. */
export function clusterName<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    minLength: 1,
    maxLength: 63,
    "x-kubernetes-validations": [
      {
        rule: "self.matches(r'^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$') && !self.contains('..')",
        message:
          "must be lower-case letters, digits, '-' or single '.', beginning and ending with a letter or digit",
      },
    ],
  } as const satisfies StringSchema;
}

/** A reference to an object in the same namespace. */
export function reference<const D extends string>(description: D, nameDescription: string) {
  return {
    type: "object",
    description,
    required: ["name"],
    properties: { name: objectName(nameDescription) },
  } as const satisfies ObjectSchema;
}

/** A reference to a Secret in the same namespace. The description names the keys that the operator reads. */
export function secretReference<const D extends string>(description: D) {
  return reference(description, "Name of the Secret in the same namespace.");
}
