import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { OperatorError } from "../../core/errors.ts";
import type { RestoreResources } from "./context.ts";

/** Which backup of which store a restore is of. */
export interface RestoreSource {
  store: EtcdBackupStore;
  clusterName: string;
  /** A name, or `latest`. */
  backup: string;
}

/** Throws NotFound for an object that does not exist, and says by `permanent` whether it may still come. */
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
  if (backup === undefined) throw notYet(`there is no EtcdBackup ${name} in this namespace`);
  const succeeded = conditionStatus(backup.status.conditions, "Succeeded");
  const { artifact } = backup.status;
  if (succeeded === "False")
    throw new OperatorError("NotFound", `EtcdBackup ${name} has failed: it is no backup`, {
      hint: "name another one, or a backup of the store",
    });
  if (artifact === undefined) throw notYet(`EtcdBackup ${name} has not ended yet`);
  return {
    store: await storeNamed(backup.spec.storeRef.name),
    clusterName: backup.spec.clusterName,
    backup: artifact.name,
  };

  async function storeNamed(storeName: string): Promise<EtcdBackupStore> {
    const found = await resources.store({ namespace, name: storeName }, signal);
    if (found === undefined) throw notYet(`there is no EtcdBackupStore ${storeName} in this namespace`);
    return found;
  }
}

function notYet(message: string): OperatorError {
  return new OperatorError("NotFound", message, { permanent: false });
}
