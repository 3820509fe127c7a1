import type { EtcdBackup } from "../api/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/etcd-backup-store.ts";
import type { EtcdRestore } from "../api/etcd-restore.ts";

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
