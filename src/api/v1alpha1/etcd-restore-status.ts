import { conditionsSchema } from "./conditions.ts";
import { countField, observedGeneration, textField, timeField } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const source = {
  type: "object",
  description: "The backup that is restored, as its manifest describes it.",
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
    name: textField("Its name in the store. `latest` is decided once, here."),
    clusterName: textField("Name of the cluster that it is of."),
    url: textField("The data object."),
    revision: countField("Revision of its newest key."),
    hash: textField("Hash as etcdutl's table shows it."),
    sha256: textField("SHA-256 of the database, 64 hex digits."),
    totalSizeBytes: countField("Bytes of the database."),
    size: textField("The same for people, such as 1.2 GB."),
    etcdVersion: textField("Version of the etcd that made it."),
    liveKeys: countField("User keys that exist in it."),
  },
} as const satisfies ObjectSchema;

const member = {
  type: "object",
  description: "One member of the new cluster.",
  required: ["name", "volume", "phase", "attempts"],
  properties: {
    name: textField("Its name in etcd, which is its Pod's."),
    volume: textField("The PersistentVolumeClaim that its data is in."),
    phase: {
      type: "string",
      description:
        "How far it is: Pending, Restoring while its Job runs, Restored when its volume holds the data.",
      enum: ["Pending", "Restoring", "Restored"],
    },
    attempts: { type: "integer", format: "int32", minimum: 0, description: "Jobs begun." },
  },
} as const satisfies ObjectSchema;

const verification = {
  type: "object",
  description: "The proof of the new cluster, asked of every member once all of them ran.",
  required: ["clusterID", "revision", "hashKV", "members", "keys"],
  properties: {
    clusterID: textField("etcd's cluster ID, hex. Not the old one's."),
    revision: countField("The revision at which the members were compared."),
    hashKV: countField("The hash that all of them agreed on, as `etcdctl endpoint hashkv` prints it."),
    members: {
      type: "array",
      description: "Names of the members that agreed.",
      items: textField("A member's name."),
    },
    keys: countField("User keys in the new cluster; as many as in the backup."),
    alarms: {
      type: "array",
      description: "Alarms that came with the snapshot and are still raised.",
      items: textField("Such as NOSPACE."),
    },
  },
} as const satisfies ObjectSchema;

const durations = {
  type: "object",
  description: "How long each step took, for people: the measured recovery time.",
  properties: {
    verify: textField("Reading the whole backup and comparing every digest."),
    restore: textField("Volumes, download, verification and restore of all members."),
    start: textField("From the StatefulSet to a leader that every member follows."),
    prove: textField("Comparing the members with one another and with the backup."),
    total: textField("From startTime to completionTime."),
  },
} as const satisfies ObjectSchema;

export const etcdRestoreStatusSchema = {
  type: "object",
  description: "What the operator has seen and done. It alone writes here.",
  default: { observedGeneration: -1 },
  required: ["observedGeneration"],
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    startTime: timeField("When the restore began."),
    verifiedTime: timeField("When every digest of the backup had agreed."),
    restoredTime: timeField("When all volumes held the data."),
    runningTime: timeField("When every member ran and followed the leader."),
    completionTime: timeField("When the restore ended, well or not."),
    attempts: {
      type: "integer",
      format: "int32",
      minimum: 0,
      description: "Attempts begun, of the step that is tried.",
    },
    nextAttemptTime: timeField("When the next attempt begins, after one that failed."),
    source,
    token: textField("The new cluster's token. No cluster ever had it: a surviving old member cannot join."),
    members: { type: "array", description: "The members, in order.", items: member },
    verification,
    durations,
  },
} as const satisfies ObjectSchema;
