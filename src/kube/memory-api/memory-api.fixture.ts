import { clientOver, type KubeClient } from "../client.ts";
import type { Connection, HttpAnswer, HttpRequest } from "../connection.ts";
import {
  type Collection,
  type Collections,
  type Pages,
  perform,
  refused,
  type Route,
  routeOf,
  text,
} from "./http.fixture.ts";
import { servedKinds } from "./kinds.fixture.ts";
import { MemoryObjects } from "./objects.fixture.ts";
import { Refusal } from "./refusal.fixture.ts";
import { type ApiUser, userOf } from "./user.fixture.ts";
import { ChangeLog } from "./watch.fixture.ts";
import { objectKey, type KubeObject, pathOf, type ResourceKind } from "../objects.ts";

/** A request that has come, in the words of RBAC. */
export interface SeenRequest {
  verb: Route["verb"];
  /** `etcdbackups.etcdbackup.dev/status`. */
  resource: string;
  /** `namespace/name`. Of a collection: its namespace, empty for all namespaces. */
  key: string;
  body: unknown;
}

export type Hook = (request: SeenRequest) => void | Promise<void>;

/**
 * An API server in memory, which passes client.contract.ts under the real client. It has no sockets and no timers, and
 * leaves out what the contract does: rules in CEL, authorization, the existence of namespaces, defaults and validation of
 * built-in kinds, controllers, and garbage collection. A request for anything else that it does not imitate throws
 * Internal.
 */
export interface MemoryApi extends ApiUser {
  readonly connection: Connection;
  /** The real client over the connection. `clientOver(connection)` makes further ones. */
  readonly client: KubeClient;
  /** What clients have asked for, in order. */
  readonly requests: SeenRequest[];
  /** The server's clock. */
  now: () => Date;
  /**
   * Awaited before a request takes effect. What it throws is what the connection throws, save for a Refusal, which is the
   * answer; nothing has been done.
   */
  beforeRequest: Hook;
  /** Awaited after a request has taken effect. What it throws, the connection throws in the place of the answer. */
  afterRequest: Hook;
}

/**
 * For a hook to throw: the client reports Unreachable at once. After most other codes, such as ECONNRESET, it repeats a
 * call that may be repeated, with pauses of a quarter of a second and more.
 */
export function noRoute(): Error {
  return Object.assign(new Error("connect EHOSTUNREACH"), { code: "EHOSTUNREACH" });
}

export function memoryApi(): MemoryApi {
  let version = 1;
  let createdCount = 0;
  const clock = {
    now: () => api.now(),
    nextVersion: () => (version += 1),
    // The names of stored objects begin with the first twelve digits.
    nextUid: () => `${(createdCount += 1).toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`,
  };
  const collections: Collections = new Map(
    servedKinds.map((served): [string, Collection] => {
      const changes = new ChangeLog();
      const objects = new MemoryObjects(served, clock, (change) => changes.add(change));
      return [pathOf(served.kind), { objects, changes }];
    }),
  );
  const objectsOf = (kind: ResourceKind<KubeObject>): MemoryObjects => {
    const collection = collections.get(pathOf(kind));
    if (collection === undefined) throw new Error(`the API server in memory does not know ${kind.plural}`);
    return collection.objects;
  };
  const pages: Pages = new Map();

  async function exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    const route = routeOf(collections, request);
    if (route === undefined) return text(404, "404 page not found");
    const seen = seenRequest(route);
    api.requests.push(seen);
    const answer = await answerTo(async () => {
      await interruptible(api.beforeRequest(seen), signal);
      return perform(route, { pages, version, signal });
    });
    await interruptible(api.afterRequest(seen), signal);
    return answer;
  }

  const connection: Connection = {
    server: "memory://api",
    namespace: "default",
    exchange,
    async reload() {},
    async [Symbol.asyncDispose]() {},
  };
  const api: MemoryApi = {
    connection,
    client: clientOver(connection),
    requests: [],
    now: () => new Date(),
    beforeRequest: () => {},
    afterRequest: () => {},
    ...userOf(objectsOf),
  };
  return api;
}

function seenRequest({ verb, resource, namespace, name, body }: Route): SeenRequest {
  const ref = namespace === undefined ? { name } : { namespace, name };
  return { verb, resource, key: name === "" ? (namespace ?? "") : objectKey(ref), body };
}

async function answerTo(act: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal) return refused(error);
    throw error;
  }
}

async function interruptible(pending: void | Promise<void>, signal: AbortSignal): Promise<void> {
  if (pending === undefined) return;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    signal.throwIfAborted();
    await Promise.race([pending, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
