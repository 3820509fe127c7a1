import { conditionsSchema } from "./conditions.ts";
import { countField, observedGeneration, textField, timeField } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const member = {
  type: "object",
  description: "The member that the snapshot is read from.",
  required: ["id", "name", "endpoint", "version", "isLeader", "lag", "reason"],
  properties: {
    id: textField("Member ID, hex."),
    name: textField("Its name in etcd."),
    endpoint: textField("The client URL that was used."),
    version: textField("Its etcd version."),
    isLeader: { type: "boolean", description: "Whether it led when it was chosen." },
    lag: countField("Raft entries behind the leader when it was chosen."),
    reason: textField("Why this member, in a few words."),
  },
} as const satisfies ObjectSchema;

const snapshot = {
  type: "object",
  description: "What the snapshot holds. The same values as `etcdutl snapshot status` shows.",
  required: [
    "revision",
    "hash",
    "totalKeys",
    "pairs",
    "liveKeys",
    "totalSizeBytes",
    "size",
    "sha256",
    "etcdVersion",
    "clusterID",
  ],
  properties: {
    revision: countField("Revision of the newest key."),
    hash: textField("Hash as etcdutl's table shows it: lower-case hex without leading zeros."),
    totalKeys: countField(
      "As the etcdutl of the member's minor version counts: pairs up to 3.5, live keys from 3.6.",
    ),
    pairs: countField("Key-value pairs in all buckets."),
    liveKeys: countField("User keys that exist."),
    totalSizeBytes: countField("Bytes of the database."),
    size: textField("The same for people, such as 1.2 GB."),
    sha256: textField("SHA-256 of the database, 64 hex digits: etcd's own trailer, checked."),
    etcdVersion: textField("Version of the etcd that made it."),
    clusterID: textField("etcd's cluster ID, hex."),
    withoutQuorum: {
      type: "boolean",
      description: "True when the cluster had lost its quorum: the last writes may be missing.",
    },
  },
} as const satisfies ObjectSchema;

const hashKV = {
  type: "object",
  description: "The comparison of the members' HashKV. Absent when none was made.",
  required: ["revision", "hash", "compactRevision", "membersCompared"],
  properties: {
    revision: countField("The revision at which they were compared."),
    hash: countField("The hash they agreed on, as `etcdctl endpoint hashkv` prints it."),
    compactRevision: {
      type: "integer",
      format: "int64",
      minimum: -1,
      description: "The compaction below it; -1 for none.",
    },
    membersCompared: {
      type: "array",
      description: "Names of the members that agreed.",
      items: textField("A member's name."),
    },
  },
} as const satisfies ObjectSchema;

const artifact = {
  type: "object",
  description: "Where the backup lies and what proves it.",
  required: ["name", "url", "manifestURL", "storedBytes", "compression", "crc32c", "proof"],
  properties: {
    name: textField("The backup's name in the store, as `etcd-backup list` shows it."),
    url: textField("The data object."),
    manifestURL: textField("The manifest. It is written last: without it there is no backup."),
    storedBytes: countField("Bytes of the data object."),
    compression: {
      type: "string",
      description: "How the data object is compressed.",
      enum: ["Zstd", "None"],
    },
    crc32c: textField("CRC-32C of the data object, 8 hex digits."),
    proof: {
      type: "string",
      description: "What shows that the store holds these bytes.",
      enum: ["FullObjectCRC32C", "PartDigests", "ReadBack"],
    },
  },
} as const satisfies ObjectSchema;

export const etcdBackupStatusSchema = {
  type: "object",
  description: "What the operator has seen and done. It alone writes here.",
  default: { observedGeneration: -1 },
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    runID: textField("Identity of the run; it is part of the stored objects' names."),
    attempts: { type: "integer", format: "int32", minimum: 0, description: "Attempts begun." },
    nextAttemptTime: timeField("When the next attempt begins, after one that failed."),
    startTime: timeField("When the first attempt began."),
    completionTime: timeField("When the run ended, well or not."),
    duration: textField("From startTime to completionTime, for people, such as 12.4s."),
    member,
    progress: {
      type: "object",
      description: "How far the running attempt is.",
      required: ["bytes", "totalBytes"],
      properties: {
        bytes: countField("Bytes read from the member."),
        totalBytes: countField("Bytes that the member announced."),
      },
    },
    snapshot,
    hashKV,
    artifact,
  },
  required: ["observedGeneration"],
} as const satisfies ObjectSchema;
