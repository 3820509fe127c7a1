import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { FolderUser } from "../../backup/folder.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { type KnownWriters, identityOf, writerOf } from "../../core/store/writer.ts";
import { type Request, keyOf } from "../reconciler.ts";

interface StoreReader {
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
}

/**
 * The writer of an EtcdBackupStore, as the API server has it at that moment. While the API server does not answer,
 * nothing renews the writer, so the last renewal of this process is the newest. A backup under way needs no API server.
 */
export function writerOfStore(
  request: Request,
  { resources, writers }: { resources: StoreReader; writers: KnownWriters },
): NonNullable<FolderUser["writer"]> {
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
