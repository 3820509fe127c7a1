import type { Vocabulary } from "../v1alpha1/conditions.ts";
import type { Infer, ObjectSchema, ValidationRule } from "./schema.ts";

export const group = "etcdbackup.dev";
export const version = "v1alpha1";
export const apiVersion = `${group}/${version}` as const;
/** `kubectl get etcd-backup` lists the objects of all kinds. The name differs from every kind, which kubectl prefers. */
export const category = "etcd-backup";

/** The metadata of an object read from the API server. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  /** RFC 3339, like deletionTimestamp. */
  creationTimestamp: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** A column of `kubectl get`. One with priority 1 is shown with `-o wide` only. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

/** A kind of custom resource. Its TypeScript type, its CRD and its reference page are derived from this. */
export interface ResourceDefinition<
  Spec extends ObjectSchema = ObjectSchema,
  Status extends ObjectSchema = ObjectSchema,
> {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: Spec;
  readonly status: Status;
  /** Rules on the whole object, which may read metadata.name. */
  readonly rules?: readonly ValidationRule[];
  /** JSON paths that field selectors may use, in addition to metadata.name and metadata.namespace. */
  readonly selectableFields: readonly string[];
  readonly columns: readonly Column[];
  readonly conditions: Vocabulary;
  readonly reasons: Vocabulary;
  /** Reasons of events that are not reasons of conditions. */
  readonly events: Vocabulary;
}

/** An object of a kind read from the API server, with its defaults. */
export interface Resource<D extends ResourceDefinition> {
  apiVersion: typeof apiVersion;
  kind: D["kind"];
  metadata: ObjectMeta;
  spec: Infer<D["spec"]>;
  status: Infer<D["status"]>;
}

/** Preserves the literal types of the definition, so that `Resource<typeof definition>` is exact. */
export function defineResource<const D extends ResourceDefinition>(definition: D): D {
  return definition;
}
