import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";

/** An EtcdBackupStore as the API server defaults it. */
export function storeOf(
  over: {
    catalog?: Partial<EtcdBackupStore["spec"]["catalog"]>;
    verify?: EtcdBackupStore["spec"]["verify"];
    metadata?: Partial<EtcdBackupStore["metadata"]>;
    status?: Partial<EtcdBackupStore["status"]>;
  } = {},
): EtcdBackupStore {
  return {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdBackupStore",
    metadata: {
      name: "s",
      namespace: "ns",
      uid: "s",
      generation: 1,
      resourceVersion: "1",
      creationTimestamp: "",
      ...over.metadata,
    },
    spec: {
      accessMode: "ReadWrite",
      file: { path: "/backups" },
      catalog: { import: true, importLimit: 30, ...over.catalog },
      ...(over.verify === undefined ? {} : { verify: over.verify }),
    },
    status: { observedGeneration: 1, ...over.status },
  };
}
