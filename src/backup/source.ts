import type { MemberStatus } from "../core/etcd/last-status.ts";
import type { MemberFacts } from "../core/etcd/member-choice.ts";

/** A snapshot stream: the announced size of the database, then its bytes in order and the 32-byte trailer. */
export interface SnapshotSource {
  readonly totalBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** The calls to an etcd cluster that a save needs. */
export interface SnapshotCluster {
  /** The client URLs that were given. Known before any member is asked. */
  readonly endpoints: readonly string[];
  observe(signal: AbortSignal): Promise<{ clusterId: string; members: MemberFacts[] }>;
  hashKV(
    endpoint: string,
    revision: number,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<{ hash: number; compactRevision: number }>;
  status(endpoint: string, signal: AbortSignal): Promise<MemberStatus>;
  /**
   * Makes a linearizable read. Its success proves that the member has reached a quorum and has applied every write that
   * was acknowledged before the read began. Throws when the read gets no answer.
   */
  confirmQuorum(endpoint: string, signal: AbortSignal): Promise<void>;
  snapshot(member: { endpoint: string }, signal: AbortSignal): Promise<SnapshotSource & AsyncDisposable>;
}
