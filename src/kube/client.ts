import { applyStatus } from "./apply-status.ts";
import {
  createCall,
  getCall,
  type MetadataPatch,
  patchMetadataCall,
  removeCall,
  type RemoveOptions,
  replaceCall,
  watchCall,
} from "./calls.ts";
import { type Connection, openConnection } from "./connection.ts";
import { apiStatusOf } from "./errors.ts";
import type { ConfigSource } from "./kube-config.ts";
import { type CollectionOptions, type Listed, listAll } from "./list.ts";
import type { Draft, KubeObject, ObjectRef, ResourceKind } from "./objects.ts";
import { type ApiCall, callApi, openStream, type RequestOptions, type SendCall } from "./request.ts";

/**
 * The API server. Every call throws OperatorError: Unauthorized, NotFound (also for a kind the server does not know),
 * AlreadyExists, Conflict, InvalidConfiguration (with the server's message), Unreachable, Timeout.
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
  /**
   * All objects as of one revision, read in pages of `limit` (500). Reads again without a limit when that revision
   * expires.
   */
  list<T extends KubeObject>(
    kind: ResourceKind<T>,
    options: CollectionOptions & { limit?: number },
  ): Promise<Listed<T>>;
  /** AlreadyExists when the name is taken. After Unreachable or Timeout the object may have been created. */
  create<T extends KubeObject>(kind: ResourceKind<T>, draft: Draft<T>, options: RequestOptions): Promise<T>;
  /**
   * Server-side apply of the whole status: fields of this manager that are left out are removed. NotFound when there is
   * no object; with `uid` Conflict when the object has another UID, with `resourceVersion` when it has another version.
   */
  applyStatus<T extends KubeObject & { status: object }>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    change: { uid?: string; resourceVersion?: string; status: Partial<T["status"]> },
    options: RequestOptions,
  ): Promise<T>;
  /** Replaces the whole object. Conflict when it has changed since its resourceVersion. Never sent twice. */
  replace<T extends KubeObject>(kind: ResourceKind<T>, object: T, options: RequestOptions): Promise<T>;
  patchMetadata<T extends KubeObject>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    patch: MetadataPatch,
    options: RequestOptions,
  ): Promise<T>;
  /** Requests deletion. Succeeds when the object does not exist. Conflict when it has another UID than `uid`. */
  remove<T extends KubeObject>(
    kind: ResourceKind<T>,
    ref: ObjectRef,
    options: RequestOptions & RemoveOptions,
  ): Promise<void>;
  /** The raw stream of a watch, for watch.ts. It holds a connection until the signal fires. */
  openWatch(
    kind: ResourceKind<KubeObject>,
    options: CollectionOptions & { resourceVersion: string; timeoutSeconds: number },
  ): Promise<AsyncIterable<Uint8Array>>;
  /** The decoded answer of a call that has no method of its own. */
  request: SendCall;
}

/** Opens a client. Throws InvalidConfiguration when no cluster is configured. Sends nothing to the server yet. */
export async function connect(source: ConfigSource = {}): Promise<KubeClient> {
  return clientOver(await openConnection(source));
}

/** The client over a connection, which its disposal closes. */
export function clientOver(connection: Connection): KubeClient {
  const request: SendCall = (call, { signal }) => callApi(connection, call, signal);
  const send = async <T>(call: ApiCall, options: RequestOptions) => (await request(call, options)) as T;

  async function get<T extends KubeObject>(kind: ResourceKind<T>, ref: ObjectRef, options: RequestOptions) {
    try {
      return await send<T>(getCall(kind, ref), options);
    } catch (error) {
      if (apiStatusOf(error)?.status === 404 && apiStatusOf(error)?.namesObject === true) return undefined;
      throw error;
    }
  }

  return {
    server: connection.server,
    namespace: connection.namespace,
    request,
    get,
    list: (kind, options) => listAll(request, kind, options),
    create: (kind, draft, options) => send(createCall(kind, draft), options),
    applyStatus: (kind, ref, change, options) => applyStatus({ get, request }, kind, ref, change, options),
    replace: (kind, object, options) => send(replaceCall(kind, object), options),
    patchMetadata: (kind, ref, patch, options) => send(patchMetadataCall(kind, ref, patch), options),
    async remove(kind, ref, { signal, ...options }) {
      try {
        await request(removeCall(kind, ref, options), { signal });
      } catch (error) {
        if (apiStatusOf(error)?.status !== 404) throw error;
      }
    },
    openWatch: async (kind, { signal, ...options }) =>
      (await openStream(connection, watchCall(kind, options), signal)).body,
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}
