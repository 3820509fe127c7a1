import { maxFrames } from "./frames.ts";

/**
 * Version of the manifest's format. A release that only adds optional fields keeps it: earlier ones ignore them. A
 * release raises it when an earlier one would misread the backup, for example with another compression.
 */
export const manifestVersion = 1;

const hex64 = { type: "string", pattern: "^[0-9a-f]{64}$" } as const;
const hex32 = { type: "string", pattern: "^[0-9a-f]{8}$" } as const;
const time = { type: "string", pattern: "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{3})?Z$" } as const;
const count = { type: "integer", minimum: 0 } as const;

/** The manifest's format: its TypeScript type and the check on reading are derived from it. */
export const manifestSchema = {
  type: "object",
  required: ["formatVersion", "name", "cluster", "run", "member", "snapshot", "stored", "tool"],
  properties: {
    formatVersion: {
      type: "integer",
      minimum: 1,
      description: "Version of this format. Readers refuse any other.",
    },
    name: { type: "string", maxLength: 128, description: "The backup's name: <time>-r<revision>-<run id>." },
    cluster: {
      type: "object",
      required: ["name", "id"],
      properties: {
        name: { type: "string", maxLength: 63, description: "The cluster's name in the store." },
        id: { type: "string", pattern: "^[0-9a-f]{1,16}$", description: "etcd's cluster ID, hex." },
      },
    },
    run: {
      type: "object",
      required: ["id", "startedAt", "completedAt"],
      properties: {
        id: { type: "string", maxLength: 40, description: "Identity of the run that wrote the backup." },
        startedAt: { ...time, description: "UTC." },
        completedAt: { ...time, description: "UTC, when the stored object was proved." },
      },
    },
    member: {
      type: "object",
      required: ["id", "name", "endpoint", "version", "isLeader", "lag", "reason"],
      properties: {
        id: { type: "string", maxLength: 16, description: "Member ID, hex." },
        name: { type: "string", maxLength: 256 },
        endpoint: {
          type: "string",
          maxLength: 1024,
          description: "The client URL the snapshot was read from.",
        },
        version: { type: "string", maxLength: 64, description: "etcd version of the member." },
        isLeader: { type: "boolean" },
        lag: { ...count, description: "Raft entries behind the leader when it was chosen." },
        reason: { type: "string", maxLength: 512, description: "Why this member." },
      },
    },
    snapshot: {
      type: "object",
      required: [
        "revision",
        "hash",
        "totalKeys",
        "pairs",
        "liveKeys",
        "totalSizeBytes",
        "pageSize",
        "storageVersion",
        "sha256",
        "crc32c",
        "withoutQuorum",
      ],
      properties: {
        revision: { ...count, description: "Revision of the newest key, from the snapshot's own bytes." },
        hash: { ...hex32, description: "The hash of `etcdutl snapshot status`, 8 hex digits." },
        totalKeys: {
          ...count,
          description: "As the etcdutl of the member's minor counts: pairs up to 3.5, live keys from 3.6.",
        },
        pairs: { ...count, description: "Key-value pairs in all buckets." },
        liveKeys: { ...count, description: "Distinct user keys that exist." },
        totalSizeBytes: { ...count, description: "Size of the database, without the trailer." },
        pageSize: { ...count, description: "bbolt page size in bytes." },
        storageVersion: {
          type: "string",
          maxLength: 32,
          description: "etcd storage version; empty before 3.6.",
        },
        sha256: { ...hex64, description: "SHA-256 of the database: etcd's own trailer." },
        crc32c: { ...hex32, description: "CRC-32C of the plain snapshot file, trailer included." },
        withoutQuorum: {
          type: "boolean",
          description: "Taken while the cluster had lost its quorum: writes may be missing.",
        },
      },
    },
    stored: {
      type: "object",
      required: ["object", "bytes", "sha256", "crc32c", "compression", "proof"],
      properties: {
        object: {
          type: "string",
          maxLength: 1024,
          description: "Name of the data object below the store's prefix.",
        },
        bytes: { ...count, description: "Size of the data object." },
        sha256: { ...hex64, description: "SHA-256 of the data object." },
        crc32c: { ...hex32, description: "CRC-32C of the data object." },
        compression: { type: "string", enum: ["Zstd", "None"] },
        proof: {
          type: "string",
          enum: ["FullObjectCRC32C", "PartDigests", "ReadBack"],
          description: "What shows that the store holds these bytes.",
        },
        frames: {
          type: "object",
          required: ["plainBytes", "storedBytes"],
          description:
            "The independent zstd frames of the data object, in order. Absent: the object can only be read from its beginning.",
          properties: {
            plainBytes: {
              type: "integer",
              minimum: 1,
              description: "Bytes of the plain snapshot file in each frame; the last one may hold fewer.",
            },
            storedBytes: {
              type: "array",
              items: { type: "integer", minimum: 1 },
              maxItems: maxFrames,
              description: "Bytes of each frame in the data object.",
            },
          },
        },
      },
    },
    hashKV: {
      type: "object",
      required: ["revision", "hash", "compactRevision", "membersCompared"],
      properties: {
        revision: {
          ...count,
          description: "The compared revision; older than the snapshot's when an earlier result was reused.",
        },
        hash: { ...count, description: "HashKV at that revision." },
        compactRevision: { type: "integer", minimum: -1 },
        membersCompared: {
          type: "array",
          items: { type: "string" },
          maxItems: 64,
          description: "Members whose HashKV agreed.",
        },
      },
    },
    owner: {
      type: "object",
      required: ["kind", "namespace", "name", "uid"],
      properties: {
        kind: { type: "string", maxLength: 64 },
        namespace: { type: "string", maxLength: 64 },
        name: { type: "string", maxLength: 256 },
        uid: {
          type: "string",
          maxLength: 64,
          description: "Of the custom resource that asked for the backup.",
        },
      },
    },
    series: {
      type: "object",
      required: ["name"],
      description: "What retention keeps and removes this backup with. Absent: it belongs to no series.",
      properties: {
        name: { type: "string", maxLength: 256, description: "Of the EtcdBackupSchedule, or of --series." },
        namespace: { type: "string", maxLength: 64, description: "Of the EtcdBackupSchedule." },
        kubernetesCluster: {
          type: "string",
          maxLength: 64,
          description: "UID of the namespace kube-system, where the operator could read it.",
        },
      },
    },
    tool: {
      type: "object",
      required: ["name", "version"],
      properties: { name: { type: "string", maxLength: 64 }, version: { type: "string", maxLength: 64 } },
    },
  },
} as const;
