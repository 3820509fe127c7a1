import { requestOf } from "../controllers/reconciler.ts";
import type { Informer } from "./informers.ts";

/** Reports whether objects of more than one namespace exist, at each change of an object, until the signal fires. */
export function followSeveralNamespaces(
  informer: Pick<Informer<unknown>, "onChange">,
  report: (areSeveral: boolean) => void,
  until: AbortSignal,
): void {
  const namespaces = new Map<string, Set<string>>();
  informer.onChange((key, object) => {
    const { namespace } = requestOf(key);
    const keys = namespaces.get(namespace) ?? new Set();
    if (object === undefined) keys.delete(key);
    else keys.add(key);
    if (keys.size === 0) namespaces.delete(namespace);
    else namespaces.set(namespace, keys);
    report(namespaces.size > 1);
  }, until);
}
