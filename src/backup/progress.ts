import type { MemberChoice, MemberFacts } from "../core/etcd/member-choice.ts";
import type { SnapshotSource } from "./transfer.ts";

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

/** What happens, in order, for status, events and progress. */
export type SaveStep =
  | { step: "MemberSelected"; choice: MemberChoice & { chosen: MemberFacts } }
  | { step: "HashesAgree"; members: string[]; hash: number; revision: number }
  | { step: "HashesDisagree"; groups: string; member: string }
  | { step: "HashesUnknown"; reason: string }
  | { step: "Streaming"; readBytes: number; totalBytes: number }
  | { step: "ReadingBack"; readBytes: number; totalBytes: number };
