import { conditionsSchema } from "./conditions.ts";
import { countField, observedGeneration, textField, timeField } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const member = {
  type: "object",
  description: "The member that the snapshot is read from.",
  required: ["id", "name", "endpoint", "version", "isLeader", "lag", "reason"],
  properties: {
    id: textField("Member ID in hexadecimal."),
    name: textField("Name of the member."),
    endpoint: textField("Client URL that the snapshot is read from."),
    version: textField("etcd version of the member."),
    isLeader: { type: "boolean", description: "Whether the member was the leader when it was chosen." },
    lag: countField("How many raft entries the member was behind the leader when it was chosen."),
    reason: textField("Why this member was chosen."),
  },
} as const satisfies ObjectSchema;

const snapshot = {
  type: "object",
  description: "The content of the snapshot, with the values that `etcdutl snapshot status` shows.",
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
    revision: countField("etcd revision of the snapshot."),
    hash: textField("Hash as the table of etcdutl shows it: lower-case hexadecimal without leading zeros."),
    totalKeys: countField(
      "Total keys as etcdutl of the member's minor version counts them: `pairs` up to 3.5, `liveKeys` from 3.6.",
    ),
    pairs: countField("Number of key-value pairs in all buckets of the database."),
    liveKeys: countField("Number of keys that exist at the revision."),
    totalSizeBytes: countField("Size of the database in bytes."),
    size: textField("Size of the database for display, such as 1.2 GB."),
    sha256: textField("SHA-256 of the database, 64 hexadecimal digits. It equals the digest that etcd sent."),
    etcdVersion: textField("Version of the etcd that made the snapshot."),
    clusterID: textField("ID of the etcd cluster in hexadecimal."),
    withoutQuorum: {
      type: "boolean",
      description: "True when the cluster had lost its quorum. The newest writes may then be missing.",
    },
  },
} as const satisfies ObjectSchema;

const hashKV = {
  type: "object",
  description: "The comparison of the members' HashKV. Absent when nothing was compared.",
  required: ["revision", "hash", "compactRevision", "membersCompared"],
  properties: {
    revision: countField(
      "Revision at which the members were compared. It is older than the snapshot's when the result of an earlier backup was reused.",
    ),
    hash: countField("The hash of all compared members, as `etcdctl endpoint hashkv` prints it."),
    compactRevision: {
      type: "integer",
      format: "int64",
      minimum: -1,
      description: "Compact revision of the compared members; -1 when nothing was compacted.",
    },
    membersCompared: {
      type: "array",
      description: "Names of the compared members.",
      items: textField("Name of a member."),
    },
  },
} as const satisfies ObjectSchema;

const artifact = {
  type: "object",
  description: "The stored backup: its objects, and how they were verified.",
  required: ["name", "url", "manifestURL", "storedBytes", "compression", "crc32c", "proof"],
  properties: {
    name: textField("Name of the backup in the store, as `etcd-backup list` shows it."),
    storeURL: textField(
      "Where the store was, with its endpoint, as `--store` takes it. The operator deletes the stored backup only while the EtcdBackupStore leads there.",
    ),
    url: textField("URL of the data object."),
    manifestURL: textField(
      "URL of the manifest. The operator writes it last; without a manifest a data object is not a backup.",
    ),
    storedBytes: countField("Size of the data object in bytes."),
    compression: {
      type: "string",
      description: "How the data object is compressed.",
      enum: ["Zstd", "None"],
    },
    crc32c: textField("CRC-32C of the data object, 8 hexadecimal digits."),
    proof: {
      type: "string",
      description:
        "How it was verified that the store holds the bytes that were sent. FullObjectCRC32C: the store computed the CRC-32C of the whole object. PartDigests: the store confirmed a digest of each part. ReadBack: the object was read back.",
      enum: ["FullObjectCRC32C", "PartDigests", "ReadBack"],
    },
  },
} as const satisfies ObjectSchema;

export const etcdBackupStatusSchema = {
  type: "object",
  description: "What the operator observed and did. Only the operator writes it.",
  default: { observedGeneration: -1 },
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    runID: textField("ID of the current or last attempt. It is part of the names of the stored objects."),
    storeURL: textField(
      "Where the store of the current or last attempt is, with its endpoint, as `--store` takes it. Absent when the backup is stored: see artifact.storeURL. While the EtcdBackupStore leads elsewhere, the operator cannot tell what an attempt that was cut off has stored, and deletes nothing.",
    ),
    attempts: {
      type: "integer",
      format: "int32",
      minimum: 0,
      description: "Number of attempts begun.",
    },
    nextAttemptTime: timeField(
      "When the next attempt begins after a failed one, or when the operator looks again for the imported backup.",
    ),
    waitingSince: timeField(
      "Since when the operator has waited for the EtcdBackupStore to exist. Absent while it does not wait.",
    ),
    startTime: timeField(
      "When the first attempt began. Of an imported backup: when its run began, as its manifest says; before it is found, when the operator first looked for it.",
    ),
    completionTime: timeField(
      "When the backup failed, or when its stored data were verified, as its manifest says. A backup that an operator finds in the store later, or imports, keeps that time.",
    ),
    duration: textField("Time from startTime to completionTime for display, such as 12.4s."),
    member,
    progress: {
      type: "object",
      description: "Progress of the running attempt.",
      required: ["bytes", "totalBytes"],
      properties: {
        bytes: countField("Number of bytes read from the member so far."),
        totalBytes: countField("Number of bytes that the member announced."),
      },
    },
    snapshot,
    hashKV,
    artifact,
  },
  required: ["observedGeneration"],
} as const satisfies ObjectSchema;
