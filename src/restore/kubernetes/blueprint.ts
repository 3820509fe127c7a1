import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { clusterLabels, namespaceOf, restoreLabel } from "../../core/restore/names.ts";

/** An object to create, without apiVersion and kind, which its resource adds. */
export interface RestoreObject {
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller: boolean }[];
  };
  spec: Record<string, unknown>;
}

/** What all objects of a restore are made from. It is complete before the first one is created. */
export interface RestoreBlueprint {
  restore: EtcdRestore;
  store: EtcdBackupStore;
  source: NonNullable<EtcdRestoreStatus["source"]>;
  token: string;
  /** Image of this program. */
  operatorImage: string;
}

export function metadataOf(restore: EtcdRestore, name: string): RestoreObject["metadata"] {
  return {
    name,
    namespace: namespaceOf(restore),
    labels: {
      ...clusterLabels(restore.spec.target.cluster.name),
      "app.kubernetes.io/managed-by": "etcd-backup-operator",
      [restoreLabel]: restore.metadata.uid,
    },
  };
}
