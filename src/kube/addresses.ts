import type { RequestOptions } from "./request.ts";
import type { KubeClient } from "./client.ts";
import type { KubeObject, ResourceKind } from "./objects.ts";

interface Pod extends KubeObject {
  status?: { phase?: string; podIP?: string };
}

interface EndpointSlice extends KubeObject {
  endpoints?: { addresses: string[]; conditions?: { ready?: boolean } }[];
}

const pods: ResourceKind<Pod> = { group: "", version: "v1", plural: "pods", kind: "Pod", namespaced: true };

const endpointSlices: ResourceKind<EndpointSlice> = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  namespaced: true,
};

/** IPs of the running pods that have all these labels, sorted. */
export async function podIPs(
  client: Pick<KubeClient, "list">,
  namespace: string,
  matchLabels: Readonly<Record<string, string>>,
  options: RequestOptions,
): Promise<string[]> {
  const labelSelector = Object.entries(matchLabels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const { items } = await client.list(pods, { namespace, labelSelector, ...options });
  const running = items.filter(
    (pod) => pod.status?.phase === "Running" && pod.metadata.deletionTimestamp === undefined,
  );
  return running.flatMap((pod) => pod.status?.podIP ?? []).toSorted();
}

/** IPs of the ready endpoints of a Service, sorted. By the API an endpoint without the condition `ready` is ready. */
export async function serviceIPs(
  client: Pick<KubeClient, "list">,
  namespace: string,
  name: string,
  options: RequestOptions,
): Promise<string[]> {
  const labelSelector = `kubernetes.io/service-name=${name}`;
  const { items } = await client.list(endpointSlices, { namespace, labelSelector, ...options });
  const ready = items
    .flatMap((slice) => slice.endpoints ?? [])
    .filter((endpoint) => endpoint.conditions?.ready !== false);
  return [...new Set(ready.flatMap((endpoint) => endpoint.addresses))].toSorted();
}
