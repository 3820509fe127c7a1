import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../api/v1alpha1/etcd-backup-schedule.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../api/v1alpha1/etcd-restore.ts";

/** The objects that events are about. */
export type Regarding = EtcdBackup | EtcdBackupSchedule | EtcdBackupStore | EtcdRestore;

/** Records Kubernetes events. Never waits, never fails. */
export interface EventSink {
  record(event: {
    regarding: Regarding;
    type: "Normal" | "Warning";
    reason: string;
    action: string;
    note: string;
  }): void;
}

/** The event recorder of one object. `Reason`: the documented reasons of its kind. */
export interface ObjectEvents<Reason extends string> {
  normal(reason: Reason, note: string): void;
  warning(reason: Reason, note: string): void;
}

export function eventsOf<Reason extends string>(
  sink: EventSink,
  regarding: Regarding,
  action: "Backup" | "Delete" | "Probe" | "Restore" | "Schedule" | "Verify",
): ObjectEvents<Reason> {
  return {
    normal: (reason, note) => sink.record({ regarding, type: "Normal", reason, action, note }),
    warning: (reason, note) => sink.record({ regarding, type: "Warning", reason, action, note }),
  };
}
