import type { ApiCall, RequestOptions } from "./request.ts";
import { isExpired } from "./errors.ts";
import { apiVersionOf, type KubeObject, pathOf, type ResourceKind, resourceName } from "./objects.ts";

export interface CollectionOptions extends RequestOptions {
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
}

export interface Listed<T> {
  items: T[];
  /** Opaque: where a watch goes on. */
  resourceVersion: string;
}

const pageSize = 500;
const listTimeoutMs = 60_000;

/** Path and description of a call about all objects of a kind. */
export function collection(verb: string, kind: ResourceKind<KubeObject>, namespace: string | undefined) {
  const at = namespace === undefined ? {} : { namespace };
  const of = namespace === undefined ? {} : { of: `in namespace ${namespace}` };
  return { verb, resource: resourceName(kind), ...of, path: pathOf(kind, at) };
}

interface Page<T> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string };
}

/** Every object, a page at a time, as of one moment: it begins again when that moment expires. */
export async function listAll<T extends KubeObject>(
  request: (call: ApiCall, options: RequestOptions) => Promise<unknown>,
  kind: ResourceKind<T>,
  { namespace, labelSelector, limit = pageSize, signal }: CollectionOptions & { limit?: number },
): Promise<Listed<T>> {
  const page = async (size: number | undefined, next: string | undefined) => {
    const call: ApiCall = {
      ...collection("list", kind, namespace),
      method: "GET",
      query: { labelSelector, limit: size?.toString(), continue: next },
      repeatable: true,
      timeoutMs: listTimeoutMs,
    };
    return (await request(call, { signal })) as Page<T>;
  };
  const pages = async (size: number | undefined): Promise<Listed<T>> => {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const { items: some, metadata } = await page(size, next);
      // Lists of built-in kinds leave these two out of their items.
      for (const item of some) items.push({ ...item, apiVersion: apiVersionOf(kind), kind: kind.kind });
      if (metadata.continue === undefined || metadata.continue === "") {
        return { items, resourceVersion: metadata.resourceVersion };
      }
      next = metadata.continue;
    }
  };
  try {
    return await pages(limit);
  } catch (error) {
    if (!isExpired(error)) throw error;
    // A list slower than etcd's compaction would expire again and again: take it in one piece.
    return await pages(undefined);
  }
}
