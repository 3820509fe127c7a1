import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";

export const now = new Date("2026-08-20T12:00:00Z");
export const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);

/** An EtcdBackup as the API server defaults it, before the operator has seen it. */
export function backupOf(
  over: {
    spec?: Partial<EtcdBackup["spec"]>;
    metadata?: Partial<EtcdBackup["metadata"]>;
    status?: EtcdBackupStatus;
  } = {},
): EtcdBackup {
  return {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdBackup",
    metadata: {
      name: "b",
      namespace: "ns",
      uid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: now.toISOString(),
      ...over.metadata,
    },
    spec: {
      clusterName: "prod",
      storeRef: { name: "s" },
      etcd: {
        endpoints: ["http://e:2379"],
        memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
      },
      compression: "Zstd",
      verification: { readBack: false, hashKV: "WhenAvailable" },
      deletionPolicy: "Retain",
      timeoutSeconds: 3600,
      backoffLimit: 3,
      ...over.spec,
    },
    status: over.status ?? { observedGeneration: -1 },
  };
}

/** An EtcdBackup that records the stored backup `name`, as the API server defaults it. */
export function importOf(name: string, ...[over]: Parameters<typeof backupOf>): EtcdBackup {
  const backup = backupOf(over);
  const { etcd: _, ...spec } = backup.spec;
  return { ...backup, spec: { ...spec, imported: { backup: name } } };
}
