import { OperatorError } from "../core/errors.ts";
import { type ApiCall, type RequestOptions, callApi, openStream } from "./request.ts";
import { openConnection } from "./connection.ts";
import { apiStatusOf } from "./errors.ts";
import type { ConfigSource } from "./kube-config.ts";
import { type CollectionOptions, collection, type Listed, listAll } from "./list.ts";
import {
  apiVersionOf,
  type Draft,
  objectKey,
  type KubeObject,
  type ObjectRef,
  pathOf,
  type ResourceKind,
  resourceName,
} from "./objects.ts";

/** The part of `metadata` that a controller changes. `null` removes a label or annotation. */
export interface MetadataPatch {
  /** Conflict when the object has changed since this version. */
  resourceVersion?: string;
  finalizers?: string[];
  labels?: Record<string, string | null>;
  annotations?: Record<string, string | null>;
}

/**
 * The API server. Every call throws OperatorError: Unauthorized, NotFound (also for a kind the server does not know),
 * AlreadyExists, Conflict, InvalidConfiguration (the server's own words), Unreachable, Timeout.
 */
export interface KubeClient extends AsyncDisposable {
  readonly server: string;
  /** The namespace of the kubeconfig's context, or of the pod. */
  readonly namespace: string;
  /** Undefined when the object is not there. */
  get<T extends KubeObject>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    options: RequestOptions,
  ): Promise<T | undefined>;
  /** All objects, read `limit` at a time (500). One consistent state: it begins again when that state expires. */
  list<T extends KubeObject>(
    kind: ResourceKind<T>,
    options: CollectionOptions & { limit?: number },
  ): Promise<Listed<T>>;
  /** AlreadyExists when it is there; after Unreachable or Timeout it may or may not have been created. */
  create<T extends KubeObject>(kind: ResourceKind<T>, draft: Draft<T>, options: RequestOptions): Promise<T>;
  /** Server-side apply: creates the object, or makes the fields given here ours and as given. */
  apply<T extends KubeObject>(kind: ResourceKind<T>, draft: Draft<T>, options: RequestOptions): Promise<T>;
  /**
   * Server-side apply of the whole status: a field of ours that is left out is removed. With `uid` it is a Conflict
   * when another object has taken the name. NotFound when there is none.
   */
  applyStatus<T extends KubeObject & { status: object }>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    change: { uid?: string; status: Partial<T["status"]> },
    options: RequestOptions,
  ): Promise<T>;
  /** The whole object as given. Conflict when it has changed since its resourceVersion; never sent twice. */
  replace<T extends KubeObject>(kind: ResourceKind<T>, object: T, options: RequestOptions): Promise<T>;
  patchMetadata<T extends KubeObject>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    patch: MetadataPatch,
    options: RequestOptions,
  ): Promise<T>;
  /** Asks for deletion; no error when it is gone already. Conflict when `uid` is another's. */
  remove<T extends KubeObject>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    options: RequestOptions & { uid?: string; propagation?: "Background" | "Foreground" | "Orphan" },
  ): Promise<void>;
  /** The raw stream of a watch, for watch.ts. The signal has to fire to let go of it. */
  openWatch(
    kind: ResourceKind<KubeObject>,
    options: CollectionOptions & { resourceVersion: string; timeoutSeconds: number },
  ): Promise<AsyncIterable<Uint8Array>>;
  /** The decoded answer of a call that has no method of its own. */
  request(call: ApiCall, options: RequestOptions): Promise<unknown>;
  serverVersion(options: RequestOptions): Promise<{ gitVersion: string; major: string; minor: string }>;
  /** Throws Unreachable when the server does not call itself ready. */
  readyz(options: RequestOptions): Promise<void>;
}

const fieldManager = "etcd-backup-operator";

/** Opens a client. Throws InvalidConfiguration when no cluster is configured; it does not talk to the server yet. */
export async function connect(source: ConfigSource = {}): Promise<KubeClient> {
  const connection = await openConnection(source);
  const request = (call: ApiCall, { signal }: RequestOptions) => callApi(connection, call, signal);
  const doing = (verb: string, kind: ResourceKind<KubeObject>, ref: ObjectRef) => ({
    verb,
    resource: resourceName(kind),
    of: objectKey(ref),
    path: pathOf(kind, ref),
  });

  async function get<T extends KubeObject>(kind: ResourceKind<T>, ref: ObjectRef, options: RequestOptions) {
    try {
      return (await request({ ...doing("get", kind, ref), method: "GET", repeatable: true }, options)) as T;
    } catch (error) {
      if (apiStatusOf(error)?.status === 404 && apiStatusOf(error)?.namesObject === true) return undefined;
      throw error;
    }
  }

  async function applyAt<T extends KubeObject>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    body: object,
    options: RequestOptions,
    subresource?: "status",
  ): Promise<T> {
    const call: ApiCall = {
      ...doing("patch", kind, ref),
      resource: subresource === undefined ? resourceName(kind) : `${resourceName(kind)}/${subresource}`,
      path: pathOf(kind, ref, subresource),
      method: "PATCH",
      query: { fieldManager, force: "true" },
      contentType: "application/apply-patch+yaml",
      body: { apiVersion: apiVersionOf(kind), kind: kind.kind, ...body },
      repeatable: true,
    };
    return (await request(call, options)) as T;
  }

  return {
    server: connection.server,
    namespace: connection.namespace,
    request,

    get,
    list: (kind, options) => listAll(request, kind, options),

    async create<T extends KubeObject>(kind: ResourceKind<T>, draft: Draft<T>, options: RequestOptions) {
      const call: ApiCall = {
        ...doing("create", kind, draft.metadata),
        path: pathOf(
          kind,
          draft.metadata.namespace === undefined ? {} : { namespace: draft.metadata.namespace },
        ),
        method: "POST",
        query: { fieldManager },
        body: { apiVersion: apiVersionOf(kind), kind: kind.kind, ...draft },
        repeatable: false,
      };
      return (await request(call, options)) as T;
    },

    apply: (kind, draft, options) => applyAt(kind, draft.metadata, draft, options),

    applyStatus(kind, ref, { uid, status }, options) {
      const write = (metadata: object) => applyAt(kind, ref, { metadata, status }, options, "status");
      if (uid === undefined) return write(ref);
      return guarded(async () => {
        const found = await get(kind, ref, options);
        if (found?.metadata.uid !== uid) throw replaced(kind, ref, found !== undefined);
        return await write({ ...ref, resourceVersion: found.metadata.resourceVersion });
      });
    },

    async replace<T extends KubeObject>(kind: ResourceKind<T>, object: T, options: RequestOptions) {
      const call: ApiCall = {
        ...doing("update", kind, object.metadata),
        method: "PUT",
        query: { fieldManager },
        body: object,
        repeatable: false,
      };
      return (await request(call, options)) as T;
    },

    async patchMetadata<T extends KubeObject>(
      kind: ResourceKind<T>,
      ref: ObjectRef,
      patch: MetadataPatch,
      options: RequestOptions,
    ) {
      const call: ApiCall = {
        ...doing("patch", kind, ref),
        method: "PATCH",
        query: { fieldManager },
        contentType: "application/merge-patch+json",
        body: { metadata: patch },
        repeatable: true,
      };
      return (await request(call, options)) as T;
    },

    async remove(kind, ref, { signal, uid, propagation }) {
      const call: ApiCall = {
        ...doing("delete", kind, ref),
        method: "DELETE",
        body: {
          apiVersion: "v1",
          kind: "DeleteOptions",
          ...(uid === undefined ? {} : { preconditions: { uid } }),
          ...(propagation === undefined ? {} : { propagationPolicy: propagation }),
        },
        repeatable: true,
      };
      try {
        await request(call, { signal });
      } catch (error) {
        if (apiStatusOf(error)?.status !== 404) throw error;
      }
    },

    async openWatch(kind, { namespace, labelSelector, resourceVersion, timeoutSeconds, signal }) {
      const call: ApiCall = {
        ...collection("watch", kind, namespace),
        method: "GET",
        query: {
          watch: "true",
          allowWatchBookmarks: "true",
          timeoutSeconds: String(timeoutSeconds),
          resourceVersion,
          labelSelector,
        },
        repeatable: false,
      };
      return (await openStream(connection, call, signal)).body;
    },

    async serverVersion(options) {
      const call: ApiCall = {
        verb: "get",
        resource: "/version",
        path: "/version",
        method: "GET",
        repeatable: true,
      };
      return (await request(call, options)) as { gitVersion: string; major: string; minor: string };
    },

    async readyz(options) {
      await request(
        { verb: "get", resource: "/readyz", path: "/readyz", method: "GET", repeatable: false },
        options,
      );
    },

    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

/** How often a status is read and written again because the object changed in between. */
const statusAttempts = 4;

/**
 * The status of a custom resource takes no uid as a precondition: without this, a status meant for a deleted object
 * would land in the one that has taken its name.
 */
async function guarded<R>(readAndWrite: () => Promise<R>): Promise<R> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readAndWrite();
    } catch (error) {
      if (attempt >= statusAttempts || apiStatusOf(error)?.status !== 409) throw error;
    }
  }
}

function replaced(kind: ResourceKind<KubeObject>, ref: ObjectRef, another: boolean): OperatorError {
  const where = `patch ${resourceName(kind)}/status ${objectKey(ref)}`;
  return another
    ? new OperatorError("Conflict", `${where}: another object has taken the name`)
    : new OperatorError("NotFound", `${where}: not there`);
}
