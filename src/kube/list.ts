import { listCall } from "./calls.ts";
import { isExpired } from "./errors.ts";
import { apiVersionOf, type KubeObject, type ResourceKind } from "./objects.ts";
import type { RequestOptions, SendCall } from "./request.ts";

export interface CollectionOptions extends RequestOptions {
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
}

export interface Listed<T> {
  items: T[];
  /** Opaque: a watch continues from it. */
  resourceVersion: string;
}

const pageSize = 500;
const listTimeoutMs = 60_000;

interface Page<T> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string };
}

/** Every object as of one revision, a page at a time. Reads again in one piece when that revision expires. */
export async function listAll<T extends KubeObject>(
  request: SendCall,
  kind: ResourceKind<T>,
  { limit = pageSize, signal, ...selection }: CollectionOptions & { limit?: number },
): Promise<Listed<T>> {
  try {
    return await listPages(request, kind, { ...selection, limit, signal });
  } catch (error) {
    if (!isExpired(error)) throw error;
    // A list that takes longer than etcd's compaction interval would expire again and again: read it without pages.
    return await listPages(request, kind, { ...selection, signal });
  }
}

async function listPages<T extends KubeObject>(
  request: SendCall,
  kind: ResourceKind<T>,
  { signal, ...options }: CollectionOptions & { limit?: number },
): Promise<Listed<T>> {
  const items: T[] = [];
  let call = listCall(kind, options);
  for (;;) {
    const page = (await request({ ...call, timeoutMs: listTimeoutMs }, { signal })) as Page<T>;
    // Lists of built-in kinds leave out apiVersion and kind of their items.
    for (const item of page.items) items.push({ ...item, apiVersion: apiVersionOf(kind), kind: kind.kind });
    const { resourceVersion, continue: next = "" } = page.metadata;
    if (next === "") return { items, resourceVersion };
    call = listCall(kind, { ...options, continue: next });
  }
}
