import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";

export const restoreUid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
export const began = new Date("2026-08-20T12:00:00Z");

export const restoredSource = {
  name: "20260820T020000Z-r00000000000000004711-k3v9x2",
  clusterName: "prod",
  storeRef: { name: "s" },
  url: "s3://bucket/prod/20260820T020000Z-k3v9x2.db.zst",
  revision: 4711,
  hash: "c55fd2a",
  sha256: "ab".repeat(32),
  totalSizeBytes: 1_000_000,
  size: "1.0 MB",
  etcdVersion: "3.6.16",
  liveKeys: 900,
} satisfies NonNullable<EtcdRestoreStatus["source"]>;

type Cluster = EtcdRestore["spec"]["target"]["cluster"];

/** An EtcdRestore of three members, as the API server defaults it, before the operator has seen it. */
export function restoreOf(
  over: {
    spec?: Partial<EtcdRestore["spec"]>;
    cluster?: Partial<Cluster>;
    metadata?: Partial<EtcdRestore["metadata"]>;
    status?: EtcdRestoreStatus;
  } = {},
): EtcdRestore {
  return {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdRestore",
    metadata: {
      name: "r",
      namespace: "ns",
      uid: restoreUid,
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: began.toISOString(),
      ...over.metadata,
    },
    spec: {
      source: { backupRef: { name: "b" } },
      target: {
        cluster: {
          name: "back",
          replicas: 3,
          image: "registry.k8s.io/etcd:3.6.5-0",
          imagePullPolicy: "IfNotPresent",
          storage: { size: "8Gi" },
          ...over.cluster,
        },
      },
      revisionBump: 1_000_000_000,
      timeoutSeconds: 3600,
      backoffLimit: 2,
      ...over.spec,
    },
    status: over.status ?? { observedGeneration: -1 },
  };
}
