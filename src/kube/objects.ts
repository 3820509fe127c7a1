import type { ObjectMeta, Resource, ResourceDefinition } from "../api/schema/resource.ts";
import { group, version } from "../api/schema/resource.ts";

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface KubeObjectMeta extends ObjectMeta {
  ownerReferences?: OwnerReference[];
}

/** Any object as the server returns it. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: KubeObjectMeta;
}

/** An object to be created or applied. The server fills in the rest of the metadata. */
export type Draft<T extends KubeObject> = Omit<T, "apiVersion" | "kind" | "metadata" | "status"> & {
  metadata: Pick<
    KubeObjectMeta,
    "namespace" | "labels" | "annotations" | "finalizers" | "ownerReferences"
  > & {
    name: string;
  };
};

/** One kind as the API server names it. `object` is never set; it carries the type of the objects. */
export interface ResourceKind<T extends KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly object?: T;
}

export interface ObjectRef {
  namespace?: string;
  name: string;
}

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export interface Secret extends KubeObject {
  /** Values in base64. */
  data?: Record<string, string>;
}

export const configMaps: ResourceKind<ConfigMap> = {
  group: "",
  version: "v1",
  plural: "configmaps",
  kind: "ConfigMap",
  namespaced: true,
};

export const secrets: ResourceKind<Secret> = {
  group: "",
  version: "v1",
  plural: "secrets",
  kind: "Secret",
  namespaced: true,
};

export const namespaces: ResourceKind<KubeObject> = {
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  namespaced: false,
};

/** The kind of a custom resource of this project. */
export function customResource<D extends ResourceDefinition>(definition: D): ResourceKind<Resource<D>> {
  return { group, version, plural: definition.plural, kind: definition.kind, namespaced: true };
}

/** `namespace/name`, or the name of an object without a namespace: the key in a cache and in a queue. */
export function objectKey(ref: ObjectRef): string {
  return ref.namespace === undefined ? ref.name : `${ref.namespace}/${ref.name}`;
}

export function apiVersionOf(kind: ResourceKind<KubeObject>): string {
  return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
}

/** `etcdbackups.etcdbackup.dev`, as `kubectl` and RBAC messages write it. */
export function resourceName(kind: ResourceKind<KubeObject>): string {
  return kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`;
}

/**
 * The path of an object or its subresource; without a name that of the collection, without a namespace of all
 * namespaces.
 */
export function pathOf(
  kind: ResourceKind<KubeObject>,
  at: { namespace?: string; name?: string } = {},
  subresource?: "status",
): string {
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const inside = at.namespace === undefined ? [] : ["namespaces", at.namespace];
  const parts = [...inside, kind.plural, at.name, subresource].filter((part) => part !== undefined);
  return `${root}/${parts.map(encodeURIComponent).join("/")}`;
}

/** A metav1.MicroTime, which requires exactly six decimals. */
export function microTime(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}
