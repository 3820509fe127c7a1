import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { OperatorError } from "../../core/errors.ts";
import type { RestoreResources } from "./context.ts";

/** The backup that a restore reads, and its store. */
export interface RestoreSource {
  store: EtcdBackupStore;
  clusterName: string;
  /** A name, or `latest`. */
  backup: string;
}

/** The source that spec.source names. Throws NotFound, permanent only when the EtcdBackup has failed. */
export async function sourceOf(
  { metadata, spec }: EtcdRestore,
  resources: Pick<RestoreResources, "backup" | "store">,
  signal: AbortSignal,
): Promise<RestoreSource> {
  const namespace = metadata.namespace ?? "default";
  const { backupRef, store } = spec.source;
  if (store !== undefined) {
    return {
      store: await storeNamed(store.storeRef.name),
      clusterName: store.clusterName,
      backup: store.backup,
    };
  }
  const name = backupRef?.name ?? "";
  const backup = await resources.backup({ namespace, name }, signal);
  if (backup === undefined) throw mayAppear(`there is no EtcdBackup ${name} in this namespace`);
  const succeeded = conditionStatus(backup.status.conditions, "Succeeded");
  const { artifact } = backup.status;
  if (succeeded === "False")
    throw new OperatorError("NotFound", `EtcdBackup ${name} has failed and records no backup`, {
      hint: "name another EtcdBackup, or a backup in the store (spec.source.store)",
    });
  if (artifact === undefined) throw mayAppear(`EtcdBackup ${name} has not ended yet`);
  return {
    store: await storeNamed(backup.spec.storeRef.name),
    clusterName: backup.spec.clusterName,
    backup: artifact.name,
  };

  async function storeNamed(storeName: string): Promise<EtcdBackupStore> {
    const resource = await resources.store({ namespace, name: storeName }, signal);
    if (resource === undefined) throw mayAppear(`there is no EtcdBackupStore ${storeName} in this namespace`);
    return resource;
  }
}

/**
 * The store of a verified source, by the name in status. Throws a NotFound error that is not permanent. A restore that an
 * earlier release verified has no such name, so its spec is read once more.
 */
export async function storeOfSource(
  restore: EtcdRestore,
  resources: Pick<RestoreResources, "backup" | "store">,
  signal: AbortSignal,
): Promise<EtcdBackupStore> {
  const { storeRef } = restore.status.source ?? {};
  if (storeRef === undefined) return (await sourceOf(restore, resources, signal)).store;
  const namespace = restore.metadata.namespace ?? "default";
  const store = await resources.store({ namespace, name: storeRef.name }, signal);
  if (store === undefined)
    throw new OperatorError("NotFound", `EtcdBackupStore ${storeRef.name} does not exist in this namespace`, {
      permanent: false,
      hint: "create it again with the same location",
    });
  return store;
}

/** A NotFound error after which another attempt may succeed. */
function mayAppear(message: string): OperatorError {
  return new OperatorError("NotFound", message, { permanent: false });
}
