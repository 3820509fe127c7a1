import type { MemberFacts } from "../core/etcd/member-choice.ts";

/** Where a snapshot comes from: the announced size of the database, and database ‖ 32-byte trailer in order. */
export interface SnapshotSource {
  readonly totalBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** What a run needs of an etcd cluster. */
export interface SnapshotCluster {
  observe(signal: AbortSignal): Promise<{ clusterId: string; members: MemberFacts[] }>;
  hashKV(
    endpoint: string,
    revision: number,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<{ hash: number; compactRevision: number }>;
  /** Throws when the endpoint is by now answered by another member. */
  snapshot(
    member: { endpoint: string; id: string },
    signal: AbortSignal,
  ): Promise<SnapshotSource & AsyncDisposable>;
}
