import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { conditionStatus } from "../conditions.ts";

/** When the EtcdBackup ended, RFC 3339. */
export function endOf({ metadata, status }: EtcdBackup): string {
  return status.completionTime ?? metadata.creationTimestamp;
}

/** Orders those first that ended last. */
export function lastEndedFirst(a: EtcdBackup, b: EtcdBackup): number {
  return endOf(b).localeCompare(endOf(a)) || b.metadata.name.localeCompare(a.metadata.name);
}

export function hasSucceeded({ status }: EtcdBackup): boolean {
  return conditionStatus(status.conditions, "Succeeded") === "True";
}
