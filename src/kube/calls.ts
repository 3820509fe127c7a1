import {
  apiVersionOf,
  type Draft,
  type KubeObject,
  objectKey,
  type ObjectRef,
  pathOf,
  type ResourceKind,
  resourceName,
} from "./objects.ts";
import type { ApiCall } from "./request.ts";

/** The part of `metadata` that a controller changes. `null` removes a label or annotation. */
export interface MetadataPatch {
  /** Conflict when the object has changed since this version. */
  resourceVersion?: string;
  finalizers?: string[];
  labels?: Record<string, string | null>;
  annotations?: Record<string, string | null>;
}

export interface RemoveOptions {
  /** Conflict when the object has another UID. */
  uid?: string;
  /** Absent: the server's default for the kind. */
  propagation?: "Background" | "Foreground" | "Orphan";
}

const fieldManager = "etcd-backup-operator";

export function getCall(kind: ResourceKind<KubeObject>, ref: ObjectRef): ApiCall {
  return { ...aboutObject("get", kind, ref), method: "GET", repeatable: true };
}

export function createCall<T extends KubeObject>(kind: ResourceKind<T>, draft: Draft<T>): ApiCall {
  const { namespace } = draft.metadata;
  return {
    ...aboutObject("create", kind, draft.metadata),
    path: pathOf(kind, namespace === undefined ? {} : { namespace }),
    method: "POST",
    query: { fieldManager },
    body: { ...typeOf(kind), ...draft },
    repeatable: false,
  };
}

/** Server-side apply; `force` takes over fields that another manager owns. */
export function applyCall(
  kind: ResourceKind<KubeObject>,
  ref: ObjectRef,
  body: object,
  subresource?: "status",
): ApiCall {
  const resource = resourceName(kind);
  return {
    ...aboutObject("patch", kind, ref),
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    path: pathOf(kind, ref, subresource),
    method: "PATCH",
    query: { fieldManager, force: "true" },
    contentType: "application/apply-patch+yaml",
    body: { ...typeOf(kind), ...body },
    repeatable: true,
  };
}

export function replaceCall(kind: ResourceKind<KubeObject>, object: KubeObject): ApiCall {
  return {
    ...aboutObject("update", kind, object.metadata),
    method: "PUT",
    query: { fieldManager },
    body: object,
    repeatable: false,
  };
}

export function patchMetadataCall(
  kind: ResourceKind<KubeObject>,
  ref: ObjectRef,
  patch: MetadataPatch,
): ApiCall {
  return {
    ...aboutObject("patch", kind, ref),
    method: "PATCH",
    query: { fieldManager },
    contentType: "application/merge-patch+json",
    body: { metadata: patch },
    repeatable: true,
  };
}

export function removeCall(
  kind: ResourceKind<KubeObject>,
  ref: ObjectRef,
  { uid, propagation }: RemoveOptions,
): ApiCall {
  return {
    ...aboutObject("delete", kind, ref),
    method: "DELETE",
    body: {
      apiVersion: "v1",
      kind: "DeleteOptions",
      ...(uid === undefined ? {} : { preconditions: { uid } }),
      ...(propagation === undefined ? {} : { propagationPolicy: propagation }),
    },
    repeatable: true,
  };
}

/** One page of a list; all of it without a limit. */
export function listCall(
  kind: ResourceKind<KubeObject>,
  options: { namespace?: string; labelSelector?: string; limit?: number; continue?: string },
): ApiCall {
  return {
    ...aboutCollection("list", kind, options.namespace),
    method: "GET",
    query: {
      labelSelector: options.labelSelector,
      limit: options.limit?.toString(),
      continue: options.continue,
    },
    repeatable: true,
  };
}

export function watchCall(
  kind: ResourceKind<KubeObject>,
  options: { namespace?: string; labelSelector?: string; resourceVersion: string; timeoutSeconds: number },
): ApiCall {
  return {
    ...aboutCollection("watch", kind, options.namespace),
    method: "GET",
    query: {
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(options.timeoutSeconds),
      resourceVersion: options.resourceVersion,
      labelSelector: options.labelSelector,
    },
    repeatable: false,
  };
}

function aboutObject(verb: string, kind: ResourceKind<KubeObject>, ref: ObjectRef) {
  return { verb, resource: resourceName(kind), of: objectKey(ref), path: pathOf(kind, ref) };
}

function aboutCollection(verb: string, kind: ResourceKind<KubeObject>, namespace: string | undefined) {
  const resource = resourceName(kind);
  if (namespace === undefined) return { verb, resource, path: pathOf(kind) };
  return { verb, resource, of: `in namespace ${namespace}`, path: pathOf(kind, { namespace }) };
}

function typeOf(kind: ResourceKind<KubeObject>): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(kind), kind: kind.kind };
}
