import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupScheduleSpec } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import { isFinished } from "../conditions.ts";
import { hasSucceeded, lastEndedFirst } from "./ended.ts";

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
    .toSorted(lastEndedFirst);
  const [succeeded, failed] = [ended.filter(hasSucceeded), ended.filter((backup) => !hasSucceeded(backup))];
  return [...succeeded.slice(successfulHistoryLimit ?? succeeded.length), ...failed.slice(failedHistoryLimit)]
    .filter(({ spec }) => spec.deletionPolicy !== "Delete")
    .toSorted(lastEndedFirst)
    .toReversed();
}
