import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import type { JobStore } from "../../core/store/job-store.ts";
import { clusterLabels, namespaceOf, restoreLabel } from "../../core/restore/names.ts";

/** The API server deletes an object with the last of its owners, which are in its namespace. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller: boolean;
}

/** A Kubernetes object to create, without apiVersion and kind: the client adds them. */
export interface RestoreObject {
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    ownerReferences?: OwnerReference[];
  };
  spec: Record<string, unknown>;
}

/** The input of every object that a restore creates. All of it is known before the first object is created. */
export interface RestoreBlueprint {
  restore: EtcdRestore;
  token: string;
}

/** What the Jobs need besides: only they read the store. */
export interface JobBlueprint extends RestoreBlueprint {
  store: JobStore;
  source: NonNullable<EtcdRestoreStatus["source"]>;
  /** Image of this program. */
  operatorImage: string;
}

/**
 * Metadata with the labels that every object of the restore carries. An object without owners remains when the
 * EtcdRestore is deleted.
 */
export function metadataOf(
  restore: EtcdRestore,
  name: string,
  owners: OwnerReference[] = [],
): RestoreObject["metadata"] {
  return {
    name,
    namespace: namespaceOf(restore),
    labels: {
      ...clusterLabels(restore.spec.target.cluster.name),
      "app.kubernetes.io/managed-by": "etcd-backup-operator",
      [restoreLabel]: restore.metadata.uid,
    },
    ...(owners.length === 0 ? {} : { ownerReferences: owners }),
  };
}

/** The EtcdRestore as the owner that controls an object. */
export function ownerOf({ apiVersion, kind, metadata: { name, uid } }: EtcdRestore): OwnerReference {
  return { apiVersion, kind, name, uid, controller: true };
}
