import type { EtcdBackupStatus } from "../../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStoreStatus } from "../../../src/api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestoreStatus } from "../../../src/api/v1alpha1/etcd-restore.ts";

/** The fields of a condition besides type and status. */
export const conditionRest = {
  observedGeneration: 1,
  lastTransitionTime: "2026-08-20T12:00:00Z",
  reason: "Succeeded",
  message: "",
};

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
export const conditions = (reason: string, succeeded: "True" | "False" | "Unknown") =>
  [
    { type: "Finished", status: succeeded === "Unknown" ? "False" : "True" } as const,
    { type: "Succeeded", status: succeeded } as const,
  ].map((condition) => ({ ...condition, ...conditionRest, reason }));
export const succeededBackup = {
  observedGeneration: 1,
  conditions: conditions("Succeeded", "True"),
  runID: "k3v9x2",
  attempts: 1,
  startTime: minutesAgo(6),
  completionTime: minutesAgo(5),
  duration: "12.4s",
  member: {
    id: "8e9e05c52164694d",
    name: "etcd-1",
    endpoint: "https://10.0.0.12:2379",
    version: "3.6.16",
    isLeader: false,
    lag: 0,
    reason: "follower, least lag",
  },
  snapshot: {
    revision: 4711,
    hash: "c55fd2a",
    totalKeys: 900,
    pairs: 1000,
    liveKeys: 900,
    totalSizeBytes: 1288490188,
    size: "1.2 GiB",
    sha256: "0".repeat(64),
    etcdVersion: "3.6.16",
    clusterID: "cdf818194e3a8c32",
  },
  artifact: {
    name: "20260820T120000Z-r00000000000000004711-k3v9x2",
    url: "s3://etcd-backups/prod/20260820T120000Z-k3v9x2.db.zst",
    manifestURL: "s3://etcd-backups/prod/20260820T120000Z-r00000000000000004711-k3v9x2.json",
    storedBytes: 600000000,
    compression: "Zstd",
    crc32c: "01234567",
    proof: "FullObjectCRC32C",
  },
} satisfies EtcdBackupStatus;
export const reachableStore = {
  observedGeneration: 1,
  conditions: [{ type: "Ready", status: "True", ...conditionRest, reason: "Reachable" }],
  url: "s3://etcd-backups",
  lastProbeTime: minutesAgo(1),
  capabilities: { conditionalWrites: true, checksums: true, objectLock: false },
  backups: 28,
  latestBackup: { name: "b", clusterName: "prod", revision: 4711, completionTime: minutesAgo(5) },
} satisfies EtcdBackupStoreStatus;
export const succeededRestore = {
  observedGeneration: 1,
  conditions: conditions("Succeeded", "True"),
  source: {
    name: "20260820T120000Z-r00000000000000004711-k3v9x2",
    clusterName: "prod",
    url: "s3://etcd-backups/prod/20260820T120000Z-k3v9x2.db.zst",
    revision: 4711,
    hash: "c55fd2a",
    sha256: "0".repeat(64),
    totalSizeBytes: 1288490188,
    size: "1.2 GiB",
    etcdVersion: "3.6.16",
    liveKeys: 900,
  },
  durations: { total: "17s" },
} satisfies EtcdRestoreStatus;
