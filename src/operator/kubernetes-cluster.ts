import type { KubeClient } from "../kube/client.ts";
import { apiStatusOf } from "../kube/errors.ts";
import { namespaces } from "../kube/objects.ts";

/** Milliseconds until a UID that was refused is asked for again: a person may have granted the right. */
const askAgainMs = 5 * 60_000;

/**
 * Tells the UID of the namespace kube-system, which stands for the Kubernetes cluster as long as that exists; a restored
 * copy of it has the same. Undefined when the operator may not read it, as in one namespace only. Throws when the API
 * server does not say. `clock`: milliseconds, monotonic.
 */
export function kubernetesClusterOf(
  client: Pick<KubeClient, "get">,
  clock: () => number,
): (signal: AbortSignal) => Promise<string | undefined> {
  let uid: string | undefined;
  let refusedAt = Number.NEGATIVE_INFINITY;
  return async (signal) => {
    if (uid !== undefined || clock() - refusedAt < askAgainMs) return uid;
    try {
      uid = (await client.get(namespaces, { name: "kube-system" }, { signal }))?.metadata.uid;
    } catch (error) {
      if (apiStatusOf(error)?.status !== 403) throw error;
      refusedAt = clock();
    }
    return uid;
  };
}
