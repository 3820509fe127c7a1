import { countField, observedGeneration, textField, timeField } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { conditionsSchema } from "./conditions.ts";

const capabilities = {
  type: "object",
  description: "What the store supports, as of the last probe that succeeded.",
  required: ["conditionalWrites", "checksums", "objectLock"],
  properties: {
    conditionalWrites: {
      type: "boolean",
      description: "Whether the store refuses to overwrite an object (If-None-Match).",
    },
    checksums: {
      type: "boolean",
      description:
        "Whether the store itself computes the CRC-32C of a whole object. False where spec.s3.checksum is MD5 or None.",
    },
    objectLock: {
      type: "boolean",
      description: "Whether the bucket has Object Lock, which protects objects from deletion for a time.",
    },
    versioning: {
      type: "boolean",
      description:
        "Whether the bucket keeps the earlier versions of deleted objects. Absent when the store does not say, for instance without the permission s3:GetBucketVersioning.",
    },
  },
} as const satisfies ObjectSchema;

const latestBackup = {
  type: "object",
  description: "The newest backup in the store, of any cluster.",
  required: ["name", "clusterName", "revision", "completionTime"],
  properties: {
    name: textField("The backup's name in the store."),
    clusterName: textField("The name of its cluster in the store."),
    revision: countField("The etcd revision of the snapshot."),
    completionTime: timeField("When the backup was completed."),
  },
} as const satisfies ObjectSchema;

const writer = {
  type: "object",
  description:
    "How the operator is known in the store. It renews this in the store at every probe. A folder `<clusterName>/` that its backups claim belongs to this writer, and nobody else deletes there.",
  required: ["id", "renewal", "nonce"],
  properties: {
    id: textField("The writer's ID, which a claim of a folder names."),
    renewal: countField("How often it has been renewed."),
    nonce: textField("Tells the last renewal from one of a copy of this Kubernetes cluster."),
    copyOf: textField(
      "The writer that this resource had before. Another operator renews it: this Kubernetes cluster is a copy of the one that made the backups.",
    ),
  },
} as const satisfies ObjectSchema;

const operator = {
  type: "object",
  description:
    "The operator that works on this store and on the EtcdBackups and EtcdRestores that use it. An operator with another Lease leaves them alone until this one has renewed nothing for durationSeconds.",
  required: ["lease", "renewTime", "durationSeconds"],
  properties: {
    lease: textField(
      "Namespace and name of the operator's Lease, such as `kube-system/etcd-backup-operator`. The name is `none` without leader election.",
    ),
    renewTime: timeField("When the operator last renewed its hold, by its own clock."),
    durationSeconds: {
      type: "integer",
      format: "int32",
      minimum: 1,
      maximum: 3600,
      description: "Seconds without a renewal after which the operator of another Lease takes over.",
    },
  },
} as const satisfies ObjectSchema;

const catalog = {
  type: "object",
  description: "The listing of the store, and the EtcdBackups that record backups in it.",
  properties: {
    listedTime: timeField("When the last complete listing of the store began."),
    imported: countField("Number of EtcdBackups that the operator made for backups in the store."),
    nameClashes: countField(
      "Number of backups without an EtcdBackup because another one has the name that theirs would have. That one was left alone.",
    ),
    importedUntil: timeField(
      "Backups that were stored before this time, by the store's clock, are not imported any more.",
    ),
    importedRecently: {
      type: "array",
      description:
        "Digests of the names of backups that were stored after importedUntil and are not imported any more either: of the newest 500.",
      items: textField("Eight hex digits."),
    },
    importedFor: textField("Digest of the importLimit and the clusterNames that the last import went by."),
    lastHandledImport: textField("The value of the annotation etcdbackup.dev/import that was last acted on."),
  },
} as const satisfies ObjectSchema;

const failing = {
  type: "object",
  description: "A backup whose last verification failed.",
  required: ["clusterName", "backup", "time", "problem"],
  properties: {
    clusterName: textField("The name of its cluster in the store."),
    backup: textField("The backup's name in the store."),
    time: timeField("When it was verified."),
    problem: textField("Why the verification failed."),
  },
} as const satisfies ObjectSchema;

const verification = {
  type: "object",
  description:
    "What the verifications of stored backups have found. Absent when spec.verify is absent and no backup is known to have failed one.",
  required: ["failed"],
  properties: {
    lastTime: timeField("When a backup was last verified, with either result."),
    lastSuccessfulTime: timeField("When a verification last succeeded."),
    nextTime: timeField("The next time of spec.verify.schedule."),
    handledUntil: timeField("The time of the schedule up to which each cluster had its turn."),
    handledSchedule: textField("The schedule and time zone that handledUntil refers to."),
    verified: countField(
      "Number of backups verified since the last time of the schedule, with either result.",
    ),
    failed: countField("Number of backups in the store whose last verification failed."),
    failing: {
      type: "array",
      description: "The first 20 of the backups whose last verification failed.",
      items: failing,
      "x-kubernetes-list-type": "atomic",
    },
  },
} as const satisfies ObjectSchema;

export const etcdBackupStoreStatusSchema = {
  type: "object",
  description: "What the operator observed. Only the operator writes it.",
  default: { observedGeneration: -1 },
  required: ["observedGeneration"],
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    url: textField("URL of the store, as the command line takes it: s3://bucket/prefix or file:///path."),
    lastProbeTime: timeField("When the operator last probed the store."),
    operator,
    capabilities,
    backups: {
      type: "integer",
      format: "int32",
      minimum: 0,
      description: "Number of backups in the store, of all clusters.",
    },
    latestBackup,
    catalog,
    verification,
    writer,
  },
} as const satisfies ObjectSchema;
