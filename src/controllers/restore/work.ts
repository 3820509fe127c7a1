import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";

/** What a run under way lets the reconciler see. */
export interface RestoreReport {
  step: "verify" | "prove";
  read?: { bytes: number; totalBytes: number };
}

export type RestoreResult =
  | { step: "verify"; found: VerifyResult }
  | { step: "prove"; verification: NonNullable<EtcdRestoreStatus["verification"]> };

export type VerifyResult =
  | { is: "good"; source: NonNullable<EtcdRestoreStatus["source"]> }
  /** The store says that this very EtcdRestore has ended before. */
  | { is: "before"; when: string }
  | { is: "refused"; reason: RestoreReason; message: string };

export type RestoreWork = (
  report: (change: Partial<RestoreReport>) => void,
  signal: AbortSignal,
) => Promise<RestoreResult>;
