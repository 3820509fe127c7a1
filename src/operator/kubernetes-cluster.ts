import { asOperatorError } from "../core/errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { namespaces } from "../kube/objects.ts";

/**
 * Tells the UID of the namespace kube-system, which stands for the Kubernetes cluster as long as that exists; a restored
 * copy of it has the same. Undefined when the operator may not read it, as in one namespace only. Reads it once.
 */
export function kubernetesClusterOf(
  client: Pick<KubeClient, "get">,
): (signal: AbortSignal) => Promise<string | undefined> {
  let known: { uid: string | undefined } | undefined;
  return async (signal) => {
    if (known !== undefined) return known.uid;
    try {
      known = { uid: (await client.get(namespaces, { name: "kube-system" }, { signal }))?.metadata.uid };
    } catch (error) {
      if (asOperatorError(error).code !== "Unauthorized") throw error;
      known = { uid: undefined };
    }
    return known.uid;
  };
}
