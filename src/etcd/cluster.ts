import type { EndpointStatus, HashKV } from "./answers.ts";
import { type EtcdAccess, type EtcdEndpoint, openEndpoint } from "./endpoint.ts";
import { type ClusterObservation, observeCluster } from "./observe.ts";
import type { SnapshotStream } from "./snapshot-stream.ts";

/** The members of one etcd cluster. Connections stay open until it is disposed of. */
export interface EtcdCluster extends AsyncDisposable {
  /** The client URLs that were given. */
  readonly endpoints: readonly string[];
  /** Asks every endpoint, and every member the member list adds. One that does not answer is a row with an error. */
  observe(signal: AbortSignal): Promise<ClusterObservation>;
  hashKV(
    endpoint: string,
    revision: number,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<HashKV>;
  /** What the member behind the endpoint answers now. It may be another one than at the last call. */
  status(endpoint: string, signal: AbortSignal): Promise<EndpointStatus>;
  /** See `EtcdEndpoint.confirmQuorum`. */
  confirmQuorum(endpoint: string, signal: AbortSignal): Promise<void>;
  snapshot(member: { endpoint: string }, signal: AbortSignal): Promise<SnapshotStream>;
  /** User keys as of a revision that is not compacted. */
  countKeys(endpoint: string, revision: number, signal: AbortSignal): Promise<number>;
  /** Disarms one alarm in the whole cluster. */
  disarm(endpoint: string, alarm: { memberId: string; alarm: string }, signal: AbortSignal): Promise<void>;
}

export function openCluster(endpoints: readonly string[], access: EtcdAccess): EtcdCluster {
  const opened = new Map<string, EtcdEndpoint>();
  const endpointOf = (url: string): EtcdEndpoint => {
    const known = opened.get(url);
    if (known !== undefined) return known;
    const endpoint = openEndpoint(url, access);
    opened.set(url, endpoint);
    return endpoint;
  };

  return {
    endpoints,
    observe: (signal) => observeCluster(endpoints, endpointOf, signal),
    hashKV: (endpoint, revision, options) => endpointOf(endpoint).hashKV(revision, options),
    countKeys: (endpoint, revision, signal) => endpointOf(endpoint).countKeys(revision, signal),
    disarm: (endpoint, alarm, signal) => endpointOf(endpoint).disarm(alarm, signal),
    status: (endpoint, signal) => endpointOf(endpoint).status(signal),
    confirmQuorum: (endpoint, signal) => endpointOf(endpoint).confirmQuorum(signal),
    snapshot: ({ endpoint }, signal) => endpointOf(endpoint).snapshot(signal),
    async [Symbol.asyncDispose]() {
      await Promise.all([...opened.values()].map((endpoint) => endpoint[Symbol.asyncDispose]()));
      opened.clear();
    },
  };
}
