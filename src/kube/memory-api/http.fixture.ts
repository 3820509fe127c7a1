import { OperatorError } from "../../core/errors.ts";
import type { HttpAnswer, HttpRequest } from "../connection.ts";
import { isRecord } from "../../core/record.ts";
import { apiVersionOf, type KubeObject, type ObjectRef, resourceName } from "../objects.ts";
import type { ApiObject, MemoryObjects, SentObject, Write } from "./objects.fixture.ts";
import { badRequest, expired, invalid, notFound, type Refusal } from "./refusal.fixture.ts";
import { labelMatcher } from "./selector.fixture.ts";
import type { ChangeLog, Scope } from "./watch.fixture.ts";

/** Everything about one kind. */
export interface Collection {
  objects: MemoryObjects;
  changes: ChangeLog;
}

/** A request as it has been read. */
export interface Route {
  verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  /** As RBAC names it: `etcdbackups.etcdbackup.dev/status`. */
  resource: string;
  collection: Collection;
  namespace: string | undefined;
  /** Empty for a list and for a watch. */
  name: string;
  subresource: "status" | undefined;
  query: URLSearchParams;
  contentType: string;
  body: unknown;
}

/** By the path of all objects of the kind: `/apis/etcdbackup.dev/v1alpha1/etcdbackups`. */
export type Collections = ReadonlyMap<string, Collection>;

const pathPattern =
  /^(?<root>\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<sub>[^/]+))?)?$/;

/** Undefined for a path that the server does not serve. */
export function routeOf(collections: Collections, request: HttpRequest): Route | undefined {
  const [path = "", search = ""] = request.path.split("?");
  const groups = pathPattern.exec(path)?.groups ?? {};
  const { root = "", plural = "", name = "", namespace, sub } = groups;
  const collection = collections.get(`${root}/${plural}`);
  if (collection === undefined || (sub !== undefined && sub !== "status")) return undefined;
  const { kind, hasStatus } = collection.objects.served;
  if (sub === "status" && !hasStatus) return undefined;
  const query = new URLSearchParams(search);
  const verb = verbOf(request, name, query);
  const body: unknown = request.body === undefined ? undefined : JSON.parse(request.body);
  return {
    verb,
    resource: sub === undefined ? resourceName(kind) : `${resourceName(kind)}/${sub}`,
    collection,
    namespace: namespace === undefined ? undefined : decodeURIComponent(namespace),
    name: verb === "create" ? nameIn(body) : decodeURIComponent(name),
    subresource: sub,
    query,
    contentType: request.headers["content-type"] ?? "",
    body,
  };
}

function nameIn(body: unknown): string {
  const metadata = isRecord(body) && isRecord(body["metadata"]) ? body["metadata"] : {};
  return typeof metadata["name"] === "string" ? metadata["name"] : "";
}

function verbOf({ method }: HttpRequest, name: string, query: URLSearchParams): Route["verb"] {
  if (method === "GET" && name !== "") return "get";
  if (method === "GET") return query.get("watch") === "true" ? "watch" : "list";
  return ({ POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" } as const)[method];
}

/** The rest of lists that are read in pages, by their continue token. */
export type Pages = Map<string, { rest: ApiObject[]; version: number }>;

/** Does what is asked. Throws Refusal. */
export function perform(
  route: Route,
  { pages, version, signal }: { pages: Pages; version: number; signal: AbortSignal },
): HttpAnswer {
  const { verb, collection, query } = route;
  const { objects, changes } = collection;
  switch (verb) {
    case "get": {
      const object = objects.get(refOf(route));
      if (object === undefined) throw notFound(objects.served.kind, route.name);
      return json(200, object);
    }
    case "list":
      return json(200, list(route, pages, version));
    case "watch": {
      const from = Number(query.get("resourceVersion") || Number.NaN);
      if (!Number.isSafeInteger(from) || from < 1) throw notImitated("a watch without a resourceVersion");
      return answer(200, "application/json", changes.watch(from, scopeOf(route), signal));
    }
    case "create":
      return json(201, objects.create(sentObject(route), writeOf(route)));
    case "update":
      return json(200, update(route));
    case "patch":
      return json(200, patch(route));
    case "delete":
      return json(200, remove(route));
    default:
      return verb satisfies never;
  }
}

function list(route: Route, pages: Pages, version: number): object {
  const { collection, query } = route;
  const { kind } = collection.objects.served;
  const token = query.get("continue");
  const kept = token === null ? undefined : pages.get(token);
  if (token !== null && kept === undefined) throw expired("the continue token is not known");
  const scope = scopeOf(route);
  const { rest, version: at } = kept ?? { rest: collection.objects.list().filter(scope), version };
  const limit = Number(query.get("limit") ?? rest.length);
  const metadata: { resourceVersion: string; continue?: string } = { resourceVersion: String(at) };
  if (rest.length > limit) {
    metadata.continue = String(pages.size + 1);
    pages.set(metadata.continue, { rest: rest.slice(limit), version: at });
  }
  const items = rest.slice(0, limit);
  return { kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind), metadata, items };
}

function update(route: Route): ApiObject {
  const sent = sentObject(route);
  const { kind } = route.collection.objects.served;
  if (sent.metadata.resourceVersion === undefined) {
    const problem = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
    throw invalid(kind, route.name, [problem]);
  }
  return route.collection.objects.update(sent, writeOf(route));
}

function patch(route: Route): ApiObject {
  const { objects } = route.collection;
  switch (route.contentType) {
    case "application/apply-patch+yaml":
      if (route.query.get("force") !== "true") throw notImitated("an apply without force");
      return objects.apply(sentObject(route), writeOf(route));
    case "application/merge-patch+json": {
      const before = objects.get(refOf(route));
      if (before === undefined) throw notFound(objects.served.kind, route.name);
      return objects.update(mergePatch(before, route.body) as SentObject, writeOf(route));
    }
    default:
      throw notImitated(`a patch of type ${route.contentType}`);
  }
}

function remove(route: Route): object {
  const options = isRecord(route.body) ? route.body : {};
  if (options["propagationPolicy"] !== undefined) throw notImitated("a propagation policy");
  const preconditions = isRecord(options["preconditions"]) ? options["preconditions"] : {};
  const kept = route.collection.objects.remove(refOf(route), preconditions);
  return kept ?? { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" };
}

/** RFC 7386. */
function mergePatch(target: unknown, change: unknown): unknown {
  if (!isRecord(change)) return change;
  const result = isRecord(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function scopeOf({ namespace, query }: Route): Scope {
  const matches = labelMatcher(query.get("labelSelector") ?? "");
  if (query.get("fieldSelector") !== null) throw notImitated("a field selector");
  return ({ metadata }) =>
    (namespace === undefined || metadata.namespace === namespace) && matches(metadata.labels ?? {});
}

function refOf({ namespace, name }: Route): ObjectRef {
  return namespace === undefined ? { name } : { namespace, name };
}

function writeOf(route: Route): Write {
  const { subresource, query } = route;
  const manager = query.get("fieldManager") ?? "unknown";
  return { ref: refOf(route), manager, ...(subresource === undefined ? {} : { subresource }) };
}

function sentObject({ body, namespace }: Route): SentObject {
  if (!isRecord(body) || !isRecord(body["metadata"]))
    throw badRequest("the body is not an object with metadata");
  const { metadata } = body as { metadata: Partial<KubeObject["metadata"]> };
  if (metadata.namespace !== undefined && metadata.namespace !== namespace)
    throw badRequest("the namespace of the object does not match that of the URL");
  return { ...body, metadata };
}

/** The test asks for more than this server can do. The client passes an OperatorError on as it is. */
function notImitated(what: string): OperatorError {
  return new OperatorError("Internal", `the API server in memory does not imitate ${what}`);
}

export function refused(error: Refusal): HttpAnswer {
  return json(error.status, error.toStatus());
}

export function json(status: number, body: object): HttpAnswer {
  return answer(status, "application/json", once(JSON.stringify(body)));
}

export function text(status: number, body: string): HttpAnswer {
  return answer(status, "text/plain", once(body));
}

function answer(status: number, contentType: string, body: AsyncIterable<Uint8Array>): HttpAnswer {
  return { status, headers: { "content-type": contentType }, body };
}

async function* once(body: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(body);
}
