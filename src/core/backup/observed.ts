import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { OperatorError } from "../errors.ts";
import type { ChosenMember } from "../etcd/member-choice.ts";
import type { RunView } from "../run-view.ts";
import type { BackupRecord } from "./status.ts";

/** The input of the decision about one EtcdBackup. */
export interface ObservedBackup {
  backup: EtcdBackup;
  /**
   * The state of its EtcdBackupStore. `notProbed`: the operator has no name yet under which it writes there. `deleting`:
   * it exists, and no attempt may begin.
   */
  store: "found" | "missing" | "readOnly" | "notProbed" | "deleting";
  /** Whether another writer holds the folder of its backups. */
  folder: FolderState;
  /** Whether the EtcdBackupStore cannot be deleted before its EtcdBackups. */
  isStoreGuarded: boolean;
  run: ObservedRun;
  stored: StoredRun;
  /** Slots that this EtcdBackup may take now: 0 while none is free, or those ahead of it in the line take them. */
  freeSlots: number;
  /** Its place in the line of those that wait for a slot, from 1. */
  place: number;
  /** The EtcdBackup of the same etcd that this one waits for. Its name is absent when it is in another namespace. */
  behind?: { name?: string };
}

/** The attempt of this EtcdBackup in this process. */
export type ObservedRun = RunView<BackupReport, StoredBackup>;

/**
 * What the store holds of this EtcdBackup's attempts, or of the backup that it imports. After `absent` no attempt can still become a backup, unless the
 * store refuses to delete data or is ReadOnly: then a manifest whose put is in flight may still be stored.
 */
export type StoredRun =
  | { state: "notAsked" }
  | { state: "found"; backup: StoredBackup }
  | { state: "absent" }
  | { state: "unknown"; error: OperatorError };

/** `free`: no other writer holds it, or the store does not say, which the attempt then finds out. */
export type FolderState =
  | { state: "notAsked" }
  | { state: "free" }
  /** `freeInMs`: when the holder may be replaced if it stays silent. */
  | { state: "claimed"; error: OperatorError; freeInMs: number };

/** What a running attempt reports. */
export interface BackupReport {
  choice?: ChosenMember;
  progress?: { bytes: number; totalBytes: number };
}

/** A backup that is in the store. */
export interface StoredBackup {
  manifest: BackupRecord;
  storeUrl: string;
  /** The store's URL with its endpoint. */
  storeLocation: string;
}
