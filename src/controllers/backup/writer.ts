import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { FolderUser } from "../../backup/folder.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { type KnownWriters, identityOf, writerOf } from "../../core/store/writer.ts";
import { keyOf } from "../reconciler.ts";
import type { BackupResources } from "./context.ts";

/**
 * The writer of the EtcdBackup's store, as the API server has it at that moment. While the API server does not answer,
 * nothing renews the writer, so the last renewal of this process is the newest. A backup under way needs no API server.
 */
export function writerIn(
  { metadata, spec }: EtcdBackup,
  { resources, writers }: { resources: Pick<BackupResources, "store">; writers: KnownWriters },
): NonNullable<FolderUser["writer"]> {
  const request = { namespace: metadata.namespace ?? "default", name: spec.storeRef.name };
  return async (signal) => {
    try {
      const store = await resources.store(request, signal);
      if (store !== undefined) return writerOf(store, writers.get(keyOf(request)));
    } catch (thrown) {
      signal.throwIfAborted();
      const known = writers.get(keyOf(request));
      const { code } = asOperatorError(thrown);
      if (known === undefined || (code !== "Unreachable" && code !== "Timeout")) throw thrown;
      return identityOf(known, request);
    }
    throw new OperatorError("NotFound", `EtcdBackupStore ${request.name} does not exist`, {
      permanent: false,
    });
  };
}
