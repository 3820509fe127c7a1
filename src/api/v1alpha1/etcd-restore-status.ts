import { conditionsSchema } from "./conditions.ts";
import { countField, observedGeneration, textField, timeField } from "../schema/status-fields.ts";
import { reference } from "../schema/name-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const source = {
  type: "object",
  description: "The backup that is restored, from its manifest.",
  required: [
    "name",
    "clusterName",
    "url",
    "revision",
    "hash",
    "sha256",
    "totalSizeBytes",
    "size",
    "etcdVersion",
    "liveKeys",
  ],
  properties: {
    name: textField("Name of the backup in the store. `latest` is resolved once, when the restore begins."),
    clusterName: textField("Name in the store of the etcd cluster that was backed up."),
    clusterID: textField("ID of that etcd cluster in hexadecimal. The restored cluster has another one."),
    storeRef: reference(
      "The EtcdBackupStore that holds the backup. From the verification on, the restore needs no EtcdBackup.",
      "Name of the EtcdBackupStore in the same namespace.",
    ),
    url: textField("URL of the data object."),
    revision: countField("etcd revision of the backup."),
    hash: textField("Hash as the table of etcdutl shows it: lower-case hexadecimal without leading zeros."),
    sha256: textField("SHA-256 of the database, 64 hexadecimal digits."),
    totalSizeBytes: countField("Size of the database in bytes."),
    size: textField("Size of the database for display, such as 1.2 GB."),
    etcdVersion: textField("Version of the etcd that made the backup."),
    liveKeys: countField("Number of keys that exist at the revision."),
  },
} as const satisfies ObjectSchema;

const member = {
  type: "object",
  description: "One member of the new cluster.",
  required: ["name", "volume", "phase", "attempts"],
  properties: {
    name: textField("Name of the member in etcd, which is also the name of its Pod."),
    volume: textField("Name of the PersistentVolumeClaim that holds its data."),
    phase: {
      type: "string",
      description:
        "Progress of the member: Pending before its Job, Restoring while its Job runs, Restored when its volume holds the data.",
      enum: ["Pending", "Restoring", "Restored"],
    },
    attempts: { type: "integer", format: "int32", minimum: 0, description: "Number of Jobs begun." },
  },
} as const satisfies ObjectSchema;

const verification = {
  type: "object",
  description: "How the new cluster was verified after all members had started.",
  required: ["clusterID", "revision", "hashKV", "members", "keys"],
  properties: {
    clusterID: textField(
      "ID of the new etcd cluster in hexadecimal. It differs from that of the old cluster.",
    ),
    revision: countField("Revision at which the members were compared."),
    hashKV: countField("The hash of all members, as `etcdctl endpoint hashkv` prints it."),
    members: {
      type: "array",
      description: "Names of the members, all of which have this hash.",
      items: textField("Name of a member."),
    },
    keys: countField("Number of keys in the new cluster at the revision, equal to that of the backup."),
    alarms: {
      type: "array",
      description: "Alarms of the backup that are still raised in the new cluster.",
      items: textField("Type of the alarm, such as NOSPACE."),
    },
  },
} as const satisfies ObjectSchema;

const endRecord = {
  type: "object",
  description:
    "The record of the end in the store. It keeps this EtcdRestore from running again when the API server is restored to a state before the end.",
  required: ["state", "attempts"],
  properties: {
    state: {
      type: "string",
      description:
        "Pending until the store holds the record; Written when it does; NotWritten when the store is ReadOnly or every attempt failed. The outcome of the restore does not depend on it.",
      enum: ["Pending", "Written", "NotWritten"],
    },
    attempts: { type: "integer", format: "int32", minimum: 0, description: "Number of attempts made." },
    nextAttemptTime: timeField("When the next attempt begins after a failed one."),
    message: textField("Why the last attempt failed."),
  },
} as const satisfies ObjectSchema;

const durations = {
  type: "object",
  description: "How long the restore and each of its steps took, for display, such as 17.2s.",
  properties: {
    verify: textField("Time to read the whole backup and to compare every digest."),
    restore: textField("Time to create the volumes, and to download and restore the backup for all members."),
    start: textField("Time from the creation of the StatefulSet until every member was ready."),
    prove: textField("Time to compare the members with one another and with the backup."),
    total: textField("Time from startTime to completionTime."),
  },
} as const satisfies ObjectSchema;

export const etcdRestoreStatusSchema = {
  type: "object",
  description: "What the operator observed and did. Only the operator writes it.",
  default: { observedGeneration: -1 },
  required: ["observedGeneration"],
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    startTime: timeField("When the restore began."),
    verifiedTime: timeField("When the whole backup was verified."),
    restoredTime: timeField("When all volumes held the restored data."),
    runningTime: timeField("When every member was ready."),
    completionTime: timeField("When the restore succeeded or failed."),
    attempts: {
      type: "integer",
      format: "int32",
      minimum: 0,
      description: "Number of attempts begun of the current step.",
    },
    nextAttemptTime: timeField("When the next attempt begins after a failed one."),
    source,
    token: textField(
      "Cluster token of the new cluster. It is unique, so that no member of the old cluster can join.",
    ),
    members: { type: "array", description: "The members of the new cluster, in order.", items: member },
    verification,
    endRecord,
    durations,
  },
} as const satisfies ObjectSchema;
