import { backupConditions, backupReasons } from "./conditions.ts";
import { etcdBackupStatusSchema } from "./etcd-backup-status.ts";
import { etcdConnectionSchema } from "./etcd-connection.ts";
import { clusterName, reference } from "../schema/name-schemas.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import { immutable, matches } from "../schema/cel-rules.ts";
import type { ObjectSchema, Schema } from "../schema/schema.ts";

/** What one backup is made of, free of the rules that hold only once it exists. */
const properties = {
  clusterName: clusterName(
    "The cluster's identity in the store: the folder that its backups lie in. One name a cluster, for ever.",
  ),
  etcd: etcdConnectionSchema,
  storeRef: reference(
    "The EtcdBackupStore to write to.",
    "Name of the EtcdBackupStore, in the same namespace.",
  ),
  compression: {
    type: "string",
    description: "How the data is stored. Zstd halves what Kubernetes typically keeps, and costs no time.",
    enum: ["Zstd", "None"],
    default: "Zstd",
  },
  maxRate: {
    type: "string",
    description:
      "Bytes a second that are read from the member at most, such as 50Mi. Spares a busy member; it keeps the pages of the snapshot for longer instead. No limit unless set.",
    maxLength: 16,
    "x-kubernetes-validations": [
      matches("^[1-9][0-9]*(Ki|Mi|Gi)?$", "has to be bytes a second, such as 50Mi (Ki, Mi, Gi or no unit)"),
    ],
  },
  verification: {
    type: "object",
    description: "Proofs beyond those that every backup has to pass.",
    default: {},
    properties: {
      readBack: {
        type: "boolean",
        description: "Read everything back from the store and check it again before the backup counts.",
        default: false,
      },
      hashKV: {
        type: "string",
        description:
          "Compare the members' HashKV. WhenAvailable fails on a difference, not on silence; Required fails on both; Skip does not ask.",
        enum: ["WhenAvailable", "Required", "Skip"],
        default: "WhenAvailable",
      },
    },
  },
  deletionPolicy: {
    type: "string",
    description:
      "What becomes of the stored backup when this object is deleted: Retain leaves it, Delete removes it first. May be changed at any time.",
    enum: ["Retain", "Delete"],
    default: "Retain",
  },
  timeoutSeconds: {
    type: "integer",
    format: "int32",
    description: "How long the run may take in seconds, all attempts together.",
    minimum: 10,
    maximum: 86400,
    default: 3600,
  },
  backoffLimit: {
    type: "integer",
    format: "int32",
    description:
      "How many more attempts follow a failed one. A failure that trying again cannot mend ends the run at once.",
    minimum: 0,
    maximum: 10,
    default: 3,
  },
} as const satisfies Record<string, Schema>;

const mutable: ReadonlySet<string> = new Set(["deletionPolicy"]);

const spec = {
  type: "object",
  description: "What to back up, and where to. Fixed once created, but for deletionPolicy.",
  required: ["clusterName", "etcd", "storeRef"],
  properties,
  "x-kubernetes-validations": Object.keys(properties)
    .filter((name) => !mutable.has(name))
    .map((name) =>
      immutable(name, "cannot be changed: create another EtcdBackup (only deletionPolicy may change)"),
    ),
} as const satisfies ObjectSchema;

export const etcdBackupDefinition = defineResource({
  kind: "EtcdBackup",
  plural: "etcdbackups",
  singular: "etcdbackup",
  shortNames: ["eb"],
  description:
    "EtcdBackup is one snapshot of one etcd cluster: the request, and when it has finished, its record. The stored backup outlives it unless deletionPolicy is Delete.",
  spec,
  status: etcdBackupStatusSchema,
  selectableFields: [".spec.clusterName", ".spec.storeRef.name"],
  columns: [
    {
      name: "Cluster",
      type: "string",
      jsonPath: ".spec.clusterName",
      description: "Name of the cluster in the store.",
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
      description: "Revision of the newest key.",
    },
    { name: "Size", type: "string", jsonPath: ".status.snapshot.size", description: "Size of the database." },
    {
      name: "Completed",
      type: "date",
      jsonPath: ".status.completionTime",
      description: "Time since the run ended.",
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since creation.",
    },
    {
      name: "Member",
      type: "string",
      jsonPath: ".status.member.name",
      description: "The member that was read from.",
      priority: 1,
    },
    {
      name: "Hash",
      type: "string",
      jsonPath: ".status.snapshot.hash",
      description: "Hash as etcdutl snapshot status shows it.",
      priority: 1,
    },
    {
      name: "Duration",
      type: "string",
      jsonPath: ".status.duration",
      description: "How long the run took.",
      priority: 1,
    },
    {
      name: "URL",
      type: "string",
      jsonPath: ".status.artifact.url",
      description: "The data object.",
      priority: 1,
    },
  ],
  conditions: backupConditions,
  reasons: backupReasons,
});

export type EtcdBackup = Resource<typeof etcdBackupDefinition>;
export type EtcdBackupSpec = EtcdBackup["spec"];
export type EtcdBackupStatus = EtcdBackup["status"];
