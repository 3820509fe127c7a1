import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { FolderUser } from "../../backup/folder.ts";
import { OperatorError } from "../../core/errors.ts";
import { writerOf } from "../../core/store/writer.ts";
import type { BackupResources } from "./context.ts";

/** The writer of the EtcdBackup's store, as the API server has it at that moment. */
export function writerIn(
  { metadata, spec }: EtcdBackup,
  resources: Pick<BackupResources, "store">,
): NonNullable<FolderUser["writer"]> {
  const request = { namespace: metadata.namespace ?? "default", name: spec.storeRef.name };
  return async (signal) => {
    const store = await resources.store(request, signal);
    if (store !== undefined) return writerOf(store);
    throw new OperatorError("NotFound", `EtcdBackupStore ${request.name} does not exist`, {
      permanent: false,
    });
  };
}
