import type { MemberFacts } from "../core/etcd/member-choice.ts";

/** A snapshot stream: the announced size of the database, then its bytes in order and the 32-byte trailer. */
export interface SnapshotSource {
  readonly totalBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** The calls to an etcd cluster that a save needs. */
export interface SnapshotCluster {
  observe(signal: AbortSignal): Promise<{ clusterId: string; members: MemberFacts[] }>;
  hashKV(
    endpoint: string,
    revision: number,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<{ hash: number; compactRevision: number }>;
  /** Throws when another member answers at the endpoint. */
  snapshot(
    member: { endpoint: string; id: string },
    signal: AbortSignal,
  ): Promise<SnapshotSource & AsyncDisposable>;
}
