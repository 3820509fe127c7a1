import { createHash } from "node:crypto";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import { group } from "../../api/schema/resource.ts";
import { formatTime } from "../backup/name.ts";
import { wholeSeconds } from "../conditions.ts";

/** Label of an EtcdBackup: the EtcdBackupSchedule of its namespace that created it, and the series that it belongs to. */
export const scheduleLabel = `${group}/schedule`;
/** Annotation of an EtcdBackup: the time of the schedule that it was created for, RFC 3339. */
export const scheduledAtAnnotation = `${group}/scheduled-at`;
/** Annotation of an EtcdBackup: the value of the schedule's trigger that it was created for. */
export const triggerAnnotation = `${group}/trigger`;

/** Why an EtcdBackup is created: a time of the schedule, its creation, or a person's trigger. */
export type Cause = { is: "time" | "creation"; time: Date } | { is: "trigger"; token: string };

/**
 * The name of the EtcdBackup for this cause. It is the same in every process, so that no cause has two: of two operators
 * that create it one is told that it exists.
 */
export function childName(schedule: string, cause: Cause): string {
  if (cause.is !== "trigger") return `${schedule}-${formatTime(cause.time).toLowerCase()}`;
  return `${schedule}-now-${createHash("sha256").update(cause.token).digest("hex").slice(0, 10)}`;
}

/** The schedule of its namespace that an EtcdBackup belongs to. */
export function scheduleOf({ metadata }: Pick<EtcdBackup, "metadata">): string | undefined {
  return metadata.labels?.[scheduleLabel];
}

/** The EtcdBackup to create. It has no owner reference: records of backups outlive their schedule. */
export function childOf({ metadata, spec }: EtcdBackupSchedule, cause: Cause) {
  const { template } = spec;
  const { namespace } = metadata;
  return {
    metadata: {
      name: childName(metadata.name, cause),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...template.metadata?.labels, [scheduleLabel]: metadata.name },
      annotations: {
        ...template.metadata?.annotations,
        ...(cause.is === "trigger"
          ? { [triggerAnnotation]: cause.token }
          : { [scheduledAtAnnotation]: wholeSeconds(cause.time) }),
      },
    },
    // EtcdBackups beyond the history limits are deleted as records.
    spec: { ...template.spec, deletionPolicy: "Retain" as const },
  };
}
