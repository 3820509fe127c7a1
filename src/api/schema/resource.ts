import type { Vocabulary } from "../v1alpha1/conditions.ts";
import type { Infer, ObjectSchema } from "./schema.ts";

export const group = "etcdbackup.dev";
export const version = "v1alpha1";
export const apiVersion = `${group}/${version}` as const;
/** `kubectl get etcd-backup` lists all kinds. Not `etcdbackup`: kubectl would then take a category for the kind of that name. */
export const category = "etcd-backup";

/** The metadata of an object as it was read. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  /** RFC 3339, like every time below. */
  creationTimestamp: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** A column of `kubectl get`. Priority 1 shows with `-o wide` only. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

/** One kind of custom resource: its type, its CRD and its reference page follow from this. */
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
  /** JSON paths that field selectors may use, besides metadata.name and metadata.namespace. */
  readonly selectableFields: readonly string[];
  readonly columns: readonly Column[];
  readonly conditions: Vocabulary;
  readonly reasons: Vocabulary;
}

/** An object of a kind, as it was read: defaults filled in. */
export interface Resource<D extends ResourceDefinition> {
  apiVersion: typeof apiVersion;
  kind: D["kind"];
  metadata: ObjectMeta;
  spec: Infer<D["spec"]>;
  status: Infer<D["status"]>;
}

/** Keeps the literal types of the definition, so that `Resource<typeof definition>` is exact. */
export function defineResource<const D extends ResourceDefinition>(definition: D): D {
  return definition;
}
