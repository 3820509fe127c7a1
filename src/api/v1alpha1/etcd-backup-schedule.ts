import { immutable, matches } from "../schema/cel-rules.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import { cronSchedule, timeZone } from "../schema/time-schemas.ts";
import type { MapSchema, ObjectSchema, StringSchema } from "../schema/schema.ts";
import { scheduleConditions, scheduleReasons } from "./conditions.ts";
import { scheduleEvents } from "./events.ts";
import { backupTemplateSpec } from "./etcd-backup.ts";
import { retentionSchema } from "./retention.ts";
import { etcdBackupScheduleStatusSchema } from "./etcd-backup-schedule-status.ts";

/** The longest name of an EtcdBackupSchedule: it becomes the value of a label. */
const maxNameLength = 63;

const labelValue = {
  type: "string",
  description: "Its value.",
  maxLength: 63,
  "x-kubernetes-validations": [
    matches(
      "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$",
      "must be letters, digits, '.', '_' or '-', beginning and ending with a letter or digit",
    ),
  ],
} as const satisfies StringSchema;

const metadataMap = <const Value extends StringSchema>(what: string, value: Value) =>
  ({
    type: "object",
    description: `${what} of each EtcdBackup. None of the schedule's own are copied, since GitOps tools would then prune the EtcdBackups. Names that begin with etcdbackup.dev/ belong to the operator.`,
    maxProperties: 32,
    additionalProperties: value,
    "x-kubernetes-validations": [
      {
        rule: "self.all(name, !name.startsWith('etcdbackup.dev/'))",
        message: "names that begin with etcdbackup.dev/ belong to the operator",
      },
    ],
  }) as const satisfies MapSchema;

const template = {
  type: "object",
  description: "The EtcdBackups that the schedule creates.",
  required: ["spec"],
  properties: {
    metadata: {
      type: "object",
      description: "Metadata of each EtcdBackup.",
      properties: {
        labels: metadataMap("Labels", labelValue),
        annotations: metadataMap("Annotations", {
          type: "string",
          description: "Its value.",
          maxLength: 1024,
        }),
      },
    },
    spec: {
      ...backupTemplateSpec,
      "x-kubernetes-validations": [
        immutable(
          "clusterName",
          "cannot be changed, since retention would no longer find the backups made before: create another EtcdBackupSchedule",
        ),
      ],
    },
  },
} as const satisfies ObjectSchema;

const historyLimit = (what: string) =>
  ({
    type: "integer",
    format: "int32",
    minimum: 0,
    maximum: 1000,
    description: `How many ${what} EtcdBackups of the schedule stay in the API server, newest first. This deletes no stored backup; retention does.`,
  }) as const;

const spec = {
  type: "object",
  description: "When to back up one etcd cluster, and what to keep of its backups.",
  required: ["schedule", "template"],
  properties: {
    schedule: cronSchedule(
      "Times in cron format with five fields: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly. When both days are restricted, either of them matches. A time that the clock skips when it is set forward runs once, right then; one that comes twice runs once.",
    ),
    timeZone: timeZone("IANA name of the time zone of the schedule and of retention, such as Europe/Berlin."),
    jitter: {
      type: "string",
      description:
        "The longest delay after each time, such as 5m. Each schedule has a delay of its own below that, always the same, so that many schedules do not start together.",
      maxLength: 32,
      "x-kubernetes-validations": [
        matches(
          "^([1-9][0-9]{0,4}(s|m)|[1-9][0-9]?h)$",
          "must be seconds, minutes or hours, such as 90s, 5m or 1h",
        ),
      ],
    },
    suspend: {
      type: "boolean",
      description:
        "Whether to create no EtcdBackups. Times that pass meanwhile are not run later. Neither a running backup nor the annotation etcdbackup.dev/trigger is affected.",
      default: false,
    },
    startingDeadlineSeconds: {
      type: "integer",
      format: "int64",
      minimum: 10,
      maximum: 2592000,
      description:
        "How many seconds late a backup may start, for instance because no operator ran. Of all times that were missed only the last one is run. Without it that one is run however late it is.",
    },
    runImmediately: {
      type: "boolean",
      description: "Whether the first backup starts when the schedule is created, and not at its first time.",
      default: false,
    },
    template,
    retention: retentionSchema,
    successfulHistoryLimit: historyLimit("successful"),
    failedHistoryLimit: { ...historyLimit("failed"), default: 5 },
  },
} as const satisfies ObjectSchema;

export const etcdBackupScheduleDefinition = defineResource({
  kind: "EtcdBackupSchedule",
  plural: "etcdbackupschedules",
  singular: "etcdbackupschedule",
  shortNames: ["ebs"],
  description:
    "EtcdBackupSchedule creates EtcdBackups of one etcd cluster at the times of a schedule, one at a time, and removes from the store what its retention does not keep. Deleting it stops that, and deletes neither EtcdBackups nor stored backups.",
  spec,
  status: etcdBackupScheduleStatusSchema,
  rules: [
    {
      rule: `self.metadata.name.size() <= ${maxNameLength}`,
      message: `metadata.name must have at most ${maxNameLength} characters, since the names of the EtcdBackups begin with it`,
    },
  ],
  selectableFields: [],
  columns: [
    { name: "Schedule", type: "string", jsonPath: ".spec.schedule", description: "Times in cron format." },
    {
      name: "Suspended",
      type: "string",
      jsonPath: ".spec.suspend",
      description: "Whether the schedule creates no EtcdBackups.",
    },
    {
      name: "Last Success",
      type: "date",
      jsonPath: ".status.lastSuccessfulTime",
      description: "Time since the newest successful backup.",
    },
    {
      name: "Next",
      type: "string",
      jsonPath: ".status.nextScheduleTime",
      description: "When the next backup begins.",
    },
    {
      name: "Ready",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: "Status of the Ready condition.",
    },
    {
      name: "Last Status",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="LastBackupSucceeded")].reason',
      description: "Reason of the LastBackupSucceeded condition.",
    },
    {
      name: "Cluster",
      type: "string",
      jsonPath: ".spec.template.spec.clusterName",
      description: "Name of the etcd cluster in the store.",
      priority: 1,
    },
    {
      name: "Backups",
      type: "integer",
      jsonPath: ".status.recoveryWindow.count",
      description: "Backups of this schedule that can be restored.",
      priority: 1,
    },
    {
      name: "Active",
      type: "string",
      jsonPath: ".status.active",
      description: "The EtcdBackup that has not ended.",
      priority: 1,
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since the object was created.",
    },
  ],
  conditions: scheduleConditions,
  reasons: scheduleReasons,
  events: scheduleEvents,
});

export type EtcdBackupSchedule = Resource<typeof etcdBackupScheduleDefinition>;
export type EtcdBackupScheduleSpec = EtcdBackupSchedule["spec"];
export type EtcdBackupScheduleStatus = EtcdBackupSchedule["status"];
