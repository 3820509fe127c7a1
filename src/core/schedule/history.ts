import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupScheduleSpec } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import { conditionStatus, isFinished } from "../conditions.ts";

/**
 * The EtcdBackups beyond the history limits, oldest first. One with deletionPolicy Delete stays: its deletion would
 * delete the stored backup, which is for retention to decide.
 */
export function beyondHistory(
  children: readonly EtcdBackup[],
  { successfulHistoryLimit, failedHistoryLimit }: EtcdBackupScheduleSpec,
): EtcdBackup[] {
  const ended = children
    .filter((backup) => isFinished(backup) && backup.metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => timeOf(b).localeCompare(timeOf(a)));
  const { succeeded = [], failed = [] } = Object.groupBy(ended, ({ status }) =>
    conditionStatus(status.conditions, "Succeeded") === "True" ? "succeeded" : "failed",
  );
  const old = [
    ...(successfulHistoryLimit === undefined ? [] : succeeded.slice(successfulHistoryLimit)),
    ...failed.slice(failedHistoryLimit),
  ];
  return old
    .filter(({ spec }) => spec.deletionPolicy !== "Delete")
    .toSorted((a, b) => timeOf(a).localeCompare(timeOf(b)));
}

function timeOf({ status, metadata }: EtcdBackup): string {
  return `${status.completionTime ?? metadata.creationTimestamp} ${metadata.name}`;
}
