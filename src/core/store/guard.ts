import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreReason } from "../../api/v1alpha1/conditions.ts";
import { finalizer } from "../backup/decide.ts";
import { setCondition } from "../conditions.ts";

/**
 * Set on an EtcdBackupStore while EtcdBackups need it to delete what they stored there. Without it the deletion of a
 * namespace would delete the store first, and no EtcdBackup with `deletionPolicy: Delete` could follow.
 */
export const storeFinalizer = "etcdbackup.dev/needed-by-backups";

export type GuardDecision =
  | { do: "nothing" }
  | { do: "add" }
  | { do: "remove" }
  /** The store is being deleted, and EtcdBackups still need it. */
  | { do: "wait"; message: string };

/** Whether the EtcdBackup needs its store for its own deletion. */
export function needsStore({ metadata }: EtcdBackup): boolean {
  return metadata.finalizers?.includes(finalizer) === true;
}

export function isGuarded({ metadata }: EtcdBackupStore): boolean {
  return metadata.finalizers?.includes(storeFinalizer) === true;
}

/** What to do with the finalizer of a store that `backups` EtcdBackups need. */
export function decideGuard(store: EtcdBackupStore, backups: number): GuardDecision {
  const guarded = isGuarded(store);
  if (backups === 0) return { do: guarded ? "remove" : "nothing" };
  // The API server adds no finalizer to an object that is being deleted.
  if (store.metadata.deletionTimestamp === undefined) return { do: guarded ? "nothing" : "add" };
  if (!guarded) return { do: "nothing" };
  const who = backups === 1 ? "1 EtcdBackup" : `${backups} EtcdBackups`;
  const it = backups === 1 ? "needs" : "need";
  const message = `${who} with deletionPolicy Delete ${it} this EtcdBackupStore; delete them first, or set their spec.deletionPolicy to Retain`;
  return { do: "wait", message };
}

/** The status of a store whose deletion waits. Ready stays, since the EtcdBackups still use the store. */
export function deletionWaits(
  { metadata: { generation }, status }: EtcdBackupStore,
  message: string,
  now: Date,
): EtcdBackupStoreStatus {
  const reason: StoreReason = "NeededByBackups";
  const stalled = { type: "Stalled", status: "True", reason, message } as const;
  return {
    ...status,
    observedGeneration: generation,
    conditions: setCondition(status.conditions ?? [], stalled, { generation, now }),
  };
}
