import { backupEvents } from "./events.ts";
import { backupConditions, backupReasons } from "./conditions.ts";
import { etcdBackupStatusSchema } from "./etcd-backup-status.ts";
import { etcdConnectionSchema } from "./etcd-connection.ts";
import { clusterName, reference } from "../schema/name-schemas.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import { byteRateField } from "../schema/time-schemas.ts";
import { exactlyOneOf, immutable, matches } from "../schema/cel-rules.ts";
import type { ObjectSchema, Schema } from "../schema/schema.ts";

const imported = {
  type: "object",
  description:
    "A backup that the store already holds, in place of etcd. The operator makes no snapshot: it reads the manifest of the backup and records it in status. The store may be ReadOnly. An imported record uses only clusterName, storeRef and timeoutSeconds besides, and ignores the other fields.",
  required: ["backup"],
  properties: {
    backup: {
      type: "string",
      description: "Name of the backup, as `etcd-backup list` shows it.",
      maxLength: 128,
      "x-kubernetes-validations": [
        matches(
          "^[0-9]{8}T[0-9]{6}Z-r[0-9]{20}-[a-z0-9]{4,40}$",
          "must be the name of a backup as `etcd-backup list` shows it",
        ),
      ],
    },
  },
} as const satisfies ObjectSchema;

const properties = {
  clusterName: clusterName(
    "Name of the etcd cluster in the store: the folder that holds its backups. Use one name for each cluster and never reuse it for another.",
  ),
  etcd: etcdConnectionSchema,
  imported,
  storeRef: reference(
    "The EtcdBackupStore to store the backup in, or the one that holds the imported backup.",
    "Name of the EtcdBackupStore in the same namespace.",
  ),
  compression: {
    type: "string",
    description:
      "How the snapshot is compressed in the store. Zstd halves the size of a typical Kubernetes cluster's snapshot without slowing the backup down.",
    enum: ["Zstd", "None"],
    default: "Zstd",
  },
  maxRate: byteRateField(
    "The most bytes per second to read from the members: a whole number with the unit Ki, Mi, Gi or none, such as 50Mi. A limit takes load off a busy member, which in turn has to hold the snapshot's pages for longer. HashKV counts as a read of the member's whole database, so with a limit the operator pauses between the members that it compares. A limit by which the reads cannot end within timeoutSeconds fails the backup. Without it there is no limit.",
  ),
  verification: {
    type: "object",
    description: "Checks in addition to those that every backup has to pass.",
    default: {},
    properties: {
      readBack: {
        type: "boolean",
        description:
          "Whether to read the whole backup back from the store and verify it before the backup is complete.",
        default: false,
      },
      hashKV: {
        type: "string",
        description:
          "Whether to compare the HashKV of the voting members. WhenAvailable fails the backup when hashes differ. Required also fails the attempt when a member gives none. Skip compares nothing. For one hour the backups of this namespace reuse an equal result of all voting members that was found through the same spec.etcd, while these members answer.",
        enum: ["WhenAvailable", "Required", "Skip"],
        default: "WhenAvailable",
      },
    },
  },
  deletionPolicy: {
    type: "string",
    description:
      "What happens to the stored backup when this object is deleted. Retain keeps it. Delete first deletes it from the store; an imported record cannot have it, since other objects may record the same stored backup. This field can be changed at any time.",
    enum: ["Retain", "Delete"],
    default: "Retain",
  },
  timeoutSeconds: {
    type: "integer",
    format: "int32",
    description:
      "How long the backup may take in seconds, over all attempts. For an imported backup: how long the operator looks for it in the store.",
    minimum: 10,
    maximum: 86400,
    default: 3600,
  },
  backoffLimit: {
    type: "integer",
    format: "int32",
    description:
      "How often a failed attempt is repeated. A failure that another attempt cannot fix fails the backup at once.",
    minimum: 0,
    maximum: 10,
    default: 3,
  },
} as const satisfies Record<string, Schema>;

/** The fields that an EtcdBackupSchedule sets. None of its EtcdBackups has a deletionPolicy: old ones are deleted as records. */
const { imported: _, deletionPolicy: __, ...templateProperties } = properties;

/** The spec of the EtcdBackups of a schedule. */
export const backupTemplateSpec = {
  type: "object",
  description:
    "Spec of each EtcdBackup, as that of EtcdBackup, without deletionPolicy: deleting an EtcdBackup of a schedule deletes nothing from the store.",
  required: ["clusterName", "etcd", "storeRef"],
  properties: templateProperties,
} as const satisfies ObjectSchema;

const mutable: ReadonlySet<string> = new Set(["deletionPolicy"]);

const spec = {
  type: "object",
  description:
    "What to back up and where to store it, or which stored backup to record. Only deletionPolicy can be changed after the object was created.",
  required: ["clusterName", "storeRef"],
  properties,
  "x-kubernetes-validations": [
    exactlyOneOf("etcd", "imported"),
    {
      rule: "!has(self.imported) || self.deletionPolicy != 'Delete'",
      message:
        "an imported record never deletes the stored backup: remove deletionPolicy, or set it to Retain",
      fieldPath: ".deletionPolicy",
    },
    ...Object.keys(properties)
      .filter((name) => !mutable.has(name))
      .map((name) =>
        immutable(name, "cannot be changed: create another EtcdBackup (only deletionPolicy can be changed)"),
      ),
  ],
} as const satisfies ObjectSchema;

export const etcdBackupDefinition = defineResource({
  kind: "EtcdBackup",
  plural: "etcdbackups",
  singular: "etcdbackup",
  shortNames: ["eb"],
  description:
    "EtcdBackup requests one backup of one etcd cluster, and records the result. It runs once. With spec.imported it only records a backup that the store already holds. Deleting it keeps the stored backup unless deletionPolicy is Delete.",
  spec,
  status: etcdBackupStatusSchema,
  selectableFields: [".spec.clusterName", ".spec.storeRef.name"],
  columns: [
    {
      name: "Cluster",
      type: "string",
      jsonPath: ".spec.clusterName",
      description: "Name of the etcd cluster in the store.",
    },
    {
      name: "Status",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Succeeded")].reason',
      description: "Reason of the Succeeded condition.",
    },
    {
      name: "Revision",
      type: "integer",
      jsonPath: ".status.snapshot.revision",
      description: "etcd revision of the snapshot.",
    },
    { name: "Size", type: "string", jsonPath: ".status.snapshot.size", description: "Size of the database." },
    {
      name: "Completed",
      type: "date",
      jsonPath: ".status.completionTime",
      description: "Time since the backup ended.",
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since the object was created.",
    },
    {
      name: "Member",
      type: "string",
      jsonPath: ".status.member.name",
      description: "Name of the member that the snapshot was read from.",
      priority: 1,
    },
    {
      name: "Hash",
      type: "string",
      jsonPath: ".status.snapshot.hash",
      description: "Hash of the snapshot as `etcdutl snapshot status` shows it.",
      priority: 1,
    },
    {
      name: "Duration",
      type: "string",
      jsonPath: ".status.duration",
      description: "How long the backup took.",
      priority: 1,
    },
    {
      name: "URL",
      type: "string",
      jsonPath: ".status.artifact.url",
      description: "URL of the data object.",
      priority: 1,
    },
  ],
  conditions: backupConditions,
  reasons: backupReasons,
  events: backupEvents,
});

export type EtcdBackup = Resource<typeof etcdBackupDefinition>;
export type EtcdBackupSpec = EtcdBackup["spec"];
export type EtcdBackupStatus = EtcdBackup["status"];
