import type { Series } from "../../core/backup/series.ts";
import { dataObject, formatBackupName, manifestObject } from "../../core/backup/name.ts";
import { type Manifest, encodeManifest } from "./manifest.ts";
import type { MemoryStore } from "../../store/memory/memory-store.fixture.ts";

export interface BackupIdentity {
  clusterName?: string;
  /** etcd's cluster ID. */
  clusterId?: string;
  time?: string;
  revision?: number;
  runId?: string;
  /** UID of the custom resource that the backup was made for. */
  ownerUid?: string;
  series?: Series;
}

/** A manifest whose fields are consistent. */
export function manifestOf(identity: BackupIdentity = {}): Manifest {
  const {
    clusterName = "prod",
    time = "2026-08-20T12:00:00Z",
    revision = 42,
    runId = "0f1e2d3c4b5ax1",
  } = identity;
  const startedAt = new Date(time);
  const owner = { kind: "EtcdBackup", namespace: "ns", name: "b" };
  return {
    formatVersion: 1,
    name: formatBackupName({ time: startedAt, revision, runId }),
    cluster: { name: clusterName, id: identity.clusterId ?? "cafe" },
    run: {
      id: runId,
      startedAt: startedAt.toISOString(),
      completedAt: new Date(startedAt.getTime() + 5000).toISOString(),
    },
    member: {
      id: "8e9e05c52164694d",
      name: "etcd-1",
      endpoint: "https://etcd-1:2379",
      version: "3.6.16",
      isLeader: false,
      lag: 2,
      reason: "follower, lag 2",
    },
    snapshot: {
      revision,
      hash: "00c36cdb",
      totalKeys: 3,
      pairs: 9,
      liveKeys: 3,
      totalSizeBytes: 2_097_152,
      pageSize: 4096,
      storageVersion: "3.6.0",
      sha256: "ab".repeat(32),
      crc32c: "0badcafe",
      withoutQuorum: false,
    },
    stored: {
      object: dataObject(clusterName, startedAt, runId, "Zstd"),
      bytes: 4,
      sha256: "cd".repeat(32),
      crc32c: "00000001",
      compression: "Zstd",
      proof: "FullObjectCRC32C",
    },
    ...(identity.ownerUid === undefined ? {} : { owner: { ...owner, uid: identity.ownerUid } }),
    ...(identity.series === undefined ? {} : { series: identity.series }),
    tool: { name: "etcd-backup", version: "0.1.0" },
  };
}

export interface StoredNames {
  manifest: Manifest;
  /** Names of the manifest's object and of the data object. */
  object: string;
  data: string;
}

/** Adds the two objects of a complete backup, as a run stores them. The data object holds four arbitrary bytes. */
export function addBackup(store: MemoryStore, identity: BackupIdentity = {}, at = new Date(0)): StoredNames {
  const manifest = manifestOf(identity);
  const { object: data } = manifest.stored;
  const { time = "2026-08-20T12:00:00Z", revision = 42, runId = "0f1e2d3c4b5ax1" } = identity;
  const object = manifestObject(manifest.cluster.name, { time: new Date(time), revision, runId });
  store.objects.set(data, Buffer.from("data"));
  store.objects.set(object, encodeManifest(manifest));
  for (const name of [data, object]) store.modified.set(name, at);
  return { manifest, object, data };
}
