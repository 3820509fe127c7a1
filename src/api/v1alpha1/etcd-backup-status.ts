import { conditionsSchema } from "./conditions.ts";
import { count, observedGeneration, text, time } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const member = {
  type: "object",
  description: "The member that the snapshot is read from.",
  required: ["id", "name", "endpoint", "version", "isLeader", "lag", "reason"],
  properties: {
    id: text("Member ID, hex."),
    name: text("Its name in etcd."),
    endpoint: text("The client URL that was used."),
    version: text("Its etcd version."),
    isLeader: { type: "boolean", description: "Whether it led when it was chosen." },
    lag: count("Raft entries behind the leader when it was chosen."),
    reason: text("Why this member, in a few words."),
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
    revision: count("Revision of the newest key."),
    hash: text("Hash as etcdutl's table shows it: lower-case hex without leading zeros."),
    totalKeys: count(
      "As the etcdutl of the member's minor version counts: pairs up to 3.5, live keys from 3.6.",
    ),
    pairs: count("Key-value pairs in all buckets."),
    liveKeys: count("User keys that exist."),
    totalSizeBytes: count("Bytes of the database."),
    size: text("The same for people, such as 1.2 GB."),
    sha256: text("SHA-256 of the database, 64 hex digits: etcd's own trailer, checked."),
    etcdVersion: text("Version of the etcd that made it."),
    clusterID: text("etcd's cluster ID, hex."),
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
    revision: count("The revision at which they were compared."),
    hash: count("The hash they agreed on, as `etcdctl endpoint hashkv` prints it."),
    compactRevision: {
      type: "integer",
      format: "int64",
      minimum: -1,
      description: "The compaction below it; -1 for none.",
    },
    membersCompared: {
      type: "array",
      description: "Names of the members that agreed.",
      items: text("A member's name."),
    },
  },
} as const satisfies ObjectSchema;

const artifact = {
  type: "object",
  description: "Where the backup lies and what proves it.",
  required: ["name", "url", "manifestURL", "storedBytes", "compression", "crc32c", "proof"],
  properties: {
    name: text("The backup's name in the store, as `etcd-backup list` shows it."),
    url: text("The data object."),
    manifestURL: text("The manifest. It is written last: without it there is no backup."),
    storedBytes: count("Bytes of the data object."),
    compression: {
      type: "string",
      description: "How the data object is compressed.",
      enum: ["Zstd", "None"],
    },
    crc32c: text("CRC-32C of the data object, 8 hex digits."),
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
    runID: text("Identity of the run; it is part of the stored objects' names."),
    attempts: { type: "integer", format: "int32", minimum: 0, description: "Attempts begun." },
    nextAttemptTime: time("When the next attempt begins, after one that failed."),
    startTime: time("When the first attempt began."),
    completionTime: time("When the run ended, well or not."),
    duration: text("From startTime to completionTime, for people, such as 12.4s."),
    member,
    progress: {
      type: "object",
      description: "How far the running attempt is.",
      required: ["bytes", "totalBytes"],
      properties: {
        bytes: count("Bytes read from the member."),
        totalBytes: count("Bytes that the member announced."),
      },
    },
    snapshot,
    hashKV,
    artifact,
  },
  required: ["observedGeneration"],
} as const satisfies ObjectSchema;
