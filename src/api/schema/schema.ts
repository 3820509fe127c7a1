/** A CEL rule as the API server evaluates it. */
export interface ValidationRule {
  readonly rule: string;
  /** Says what to do, for the person whose object was refused. */
  readonly message: string;
  /** The field to name in the answer, relative to where the rule stands: `.tls`. */
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

/** Free keys, values of one shape. */
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

/** An object whose content belongs to somebody else, such as a Pod's affinity: taken as it is. */
export interface OpaqueSchema extends Described {
  readonly type: "object";
  readonly "x-kubernetes-preserve-unknown-fields": true;
}

/** The part of OpenAPI v3 that our resources use; every property says what it means. */
export type Schema =
  | StringSchema
  | IntegerSchema
  | BooleanSchema
  | ArraySchema
  | MapSchema
  | ObjectSchema
  | OpaqueSchema;

/**
 * The type of a value that has passed `S`, an `as const` literal. A property that is required or has a
 * default is there, since the API server fills defaults in on every read; any other may be absent.
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
