import { requestOf } from "../controllers/reconciler.ts";
import type { Informer } from "./informers.ts";

/** Tells whether objects of more than one namespace exist. Follows the changes until the signal fires. */
export function severalNamespaces(
  informer: Pick<Informer<unknown>, "onChange">,
  until: AbortSignal,
): () => boolean {
  const namespaces = new Map<string, Set<string>>();
  informer.onChange((key, object) => {
    const { namespace } = requestOf(key);
    const keys = namespaces.get(namespace) ?? new Set();
    if (object === undefined) keys.delete(key);
    else keys.add(key);
    if (keys.size === 0) namespaces.delete(namespace);
    else namespaces.set(namespace, keys);
  }, until);
  return () => namespaces.size > 1;
}
