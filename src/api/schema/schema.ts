/** A CEL rule that the API server evaluates. */
export interface ValidationRule {
  readonly rule: string;
  /** Says what is wrong and what to write instead, for the person whose object was rejected. */
  readonly message: string;
  /** The field that the rejection names, relative to the schema of the rule, such as `.tls`. */
  readonly fieldPath?: string;
  readonly reason?: "FieldValueForbidden" | "FieldValueRequired";
}

interface Described {
  readonly description: string;
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
}

export interface StringSchema extends Described {
  readonly type: "string";
  readonly enum?: readonly string[];
  readonly format?: "date-time";
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly default?: string;
}

export interface IntegerSchema extends Described {
  readonly type: "integer";
  readonly format?: "int32" | "int64";
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: number;
}

export interface BooleanSchema extends Described {
  readonly type: "boolean";
  readonly default?: boolean;
}

export interface ArraySchema extends Described {
  readonly type: "array";
  readonly items: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
}

/** Any keys, and values of one schema. */
export interface MapSchema extends Described {
  readonly type: "object";
  readonly additionalProperties: Schema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
}

export interface ObjectSchema extends Described {
  readonly type: "object";
  readonly properties: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly minProperties?: number;
  readonly default?: Readonly<Record<string, unknown>>;
}

/** An object of another API, such as a Pod's affinity, whose content is not checked. */
export interface OpaqueSchema extends Described {
  readonly type: "object";
  readonly "x-kubernetes-preserve-unknown-fields": true;
}

/** The part of OpenAPI v3 that the custom resources use. Every schema has a description. */
export type Schema =
  | StringSchema
  | IntegerSchema
  | BooleanSchema
  | ArraySchema
  | MapSchema
  | ObjectSchema
  | OpaqueSchema;

/**
 * The type of a value that matches `S`, an `as const` literal. A property that is required or has a default is
 * present, since the API server adds defaults on every read; any other may be absent.
 */
export type Infer<S> = S extends { readonly enum: readonly (infer E)[] }
  ? E
  : S extends { readonly type: "string" }
    ? string
    : S extends { readonly type: "integer" }
      ? number
      : S extends { readonly type: "boolean" }
        ? boolean
        : S extends { readonly type: "array"; readonly items: infer I }
          ? Infer<I>[]
          : S extends { readonly type: "object"; readonly additionalProperties: infer V }
            ? Record<string, Infer<V>>
            : S extends { readonly type: "object"; readonly properties: infer P }
              ? InferObject<P, PresentKeys<S, P>>
              : S extends { readonly "x-kubernetes-preserve-unknown-fields": true }
                ? Record<string, unknown>
                : never;

type PresentKeys<S, P> =
  | (S extends { readonly required: readonly (infer R)[] } ? R : never)
  | { [K in keyof P]: P[K] extends { readonly default: unknown } ? K : never }[keyof P];

type InferObject<P, Present> = Flat<
  { -readonly [K in keyof P as K extends Present ? K : never]: Infer<P[K]> } & {
    -readonly [K in keyof P as K extends Present ? never : K]?: Infer<P[K]>;
  }
>;

type Flat<T> = { [K in keyof T]: T[K] };
