import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { RunView } from "../run-view.ts";

/** The input of the decision about one EtcdRestore. */
export interface ObservedRestore {
  restore: EtcdRestore;
  work: ObservedWork;
  /** Observed while the volumes are being restored; empty otherwise. */
  members: RestoredMember[];
  /** Observed while the members start; `none` otherwise. */
  cluster: ObservedCluster;
  /** Slots that this EtcdRestore may take now: 0 while none is free, or those ahead of it in the line take them. */
  freeSlots: number;
  /** Its place in the line of those that wait for a slot, from 1. */
  place: number;
}

/** The in-process work for one EtcdRestore: reading the whole backup, or comparing the members of the new cluster. */
export type ObservedWork = RunView<RestoreReport, RestoreResult>;

/** What running work reports. */
export interface RestoreReport {
  step: "verify" | "prove";
  read?: { bytes: number; totalBytes: number };
}

export type RestoreResult =
  | { step: "verify"; found: VerifiedSource }
  | { step: "prove"; verification: NonNullable<EtcdRestoreStatus["verification"]> };

export type VerifiedSource =
  | { is: "good"; source: NonNullable<EtcdRestoreStatus["source"]> }
  /** The store holds a record that this EtcdRestore has ended. */
  | { is: "restoredBefore"; completedAt: string }
  | { is: "refused"; reason: RestoreReason; message: string };

/** One member, as its objects in the API server show it. `foreign`: an object of another owner has the name. */
export interface RestoredMember {
  index: number;
  volume: "missing" | "ours" | "foreign";
  job: ObservedJob;
}

export type ObservedJob =
  | { state: "none" }
  | { state: "foreign"; name: string }
  /** `waitsFor`: why its Pod does not run, if known. */
  | { state: "running"; attempt: number; waitsFor?: string }
  | { state: "succeeded"; attempt: number }
  /** `failure`: the last output of its container. `permanent`: another attempt cannot succeed, by its exit code. */
  | { state: "failed"; attempt: number; failure: string; permanent: boolean };

/** The StatefulSet, the Services and the PodDisruptionBudget of the new cluster. `what`: the foreign object. */
export interface ObservedCluster {
  exists: "none" | "ours" | "foreign";
  what?: string;
  readyMembers: number;
  waitsFor?: string;
}
