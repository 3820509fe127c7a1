import { conditionsSchema } from "./conditions.ts";
import { countField, observedGeneration, textField, timeField } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const recoveryWindow = {
  type: "object",
  description: "The backups of this schedule that the store holds and that can be restored.",
  required: ["oldest", "newest", "count"],
  properties: {
    oldest: timeField("When the oldest of them was begun."),
    newest: timeField("When the newest of them was begun."),
    count: countField("How many there are."),
  },
} as const satisfies ObjectSchema;

const retention = {
  type: "object",
  description: "What retention did last, and what it will do.",
  required: ["generation", "time", "kept", "next"],
  properties: {
    after: textField("The successful EtcdBackup after which the plan was last carried out."),
    generation: countField("The metadata.generation whose spec.retention the plan follows."),
    time: timeField("When the plan was made."),
    kept: countField("Backups in the folder that stay, those of others included."),
    removed: countField("Backups that retention has removed since the schedule was created."),
    next: {
      type: "array",
      description:
        "What retention removes after the next backup of the schedule, if that comes in time: the oldest 20.",
      items: {
        type: "object",
        description: "A backup that will be removed.",
        required: ["backup", "reason"],
        properties: {
          backup: textField("Name of the backup, as `etcd-backup list` shows it."),
          reason: textField("Why no rule keeps it."),
        },
      },
    },
  },
} as const satisfies ObjectSchema;

const lastFailure = {
  type: "object",
  description: "The last EtcdBackup of this schedule that failed, or the last time that could not be run.",
  required: ["time", "reason", "message"],
  properties: {
    time: timeField("When it failed."),
    backup: textField("Name of the EtcdBackup. Absent when none was created."),
    reason: textField("Reason, as in the Succeeded condition of the EtcdBackup."),
    message: textField("What failed, in a sentence."),
  },
} as const satisfies ObjectSchema;

export const etcdBackupScheduleStatusSchema = {
  type: "object",
  description: "What the operator observed and did. Only the operator writes it.",
  default: { observedGeneration: -1 },
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    nextScheduleTime: timeField(
      "When the next backup begins, with the jitter. Absent while the schedule is suspended or invalid.",
    ),
    lastScheduleTime: timeField(
      "The time of the schedule, without the jitter, for which the last EtcdBackup was created.",
    ),
    handledUntil: timeField(
      "The operator runs no time of the schedule up to this one: each was run, skipped or missed, or came while the schedule was suspended.",
    ),
    handledSchedule: textField(
      "The spec.schedule and spec.timeZone that handledUntil refers to. After a change of these only later times are run.",
    ),
    lastSuccessfulTime: timeField("When the newest successful backup was completed."),
    active: textField("Name of the EtcdBackup of this schedule that has not ended."),
    lastBackup: textField("Name of the EtcdBackup that ended last."),
    lastHandledTrigger: textField(
      "The last value of the annotation etcdbackup.dev/trigger for which an EtcdBackup was created.",
    ),
    succeeded: countField("EtcdBackups of this schedule that have succeeded."),
    failed: countField("EtcdBackups of this schedule that have failed."),
    skipped: countField("Times that came while a backup of this schedule was running, and were not run."),
    missed: countField("Times that could not be run within spec.startingDeadlineSeconds."),
    lastFailure,
    recoveryWindow,
    retention,
  },
} as const satisfies ObjectSchema;
