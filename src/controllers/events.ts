import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../api/v1alpha1/etcd-restore.ts";

/** Where controllers say what happened. Never waits, never fails. */
export interface EventSink {
  record(event: {
    regarding: EtcdBackup | EtcdBackupStore | EtcdRestore;
    type: "Normal" | "Warning";
    reason: string;
    action: string;
    note: string;
  }): void;
}
