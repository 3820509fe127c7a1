import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { recordSuccession } from "../../backup/catalog/succession.ts";
import type { Store } from "../../store/store.ts";
import { keyOf } from "../reconciler.ts";
import type { RestoreWorkDeps } from "./context.ts";
import { storeOfSource } from "./source.ts";

/** Milliseconds. The restore is proved by then, and a silent store must not fail it. */
const timeoutMs = 30_000;

/**
 * Records in the folder of the backup that the new cluster was restored from it, so that the new cluster's backups may
 * follow there. `id`: the new cluster's, where the status does not name it yet.
 */
export async function introduceCluster(
  store: Pick<Store, "put">,
  { status: { source, verification } }: EtcdRestore,
  signal: AbortSignal,
  id = verification?.clusterID,
): Promise<void> {
  if (source?.clusterID === undefined || id === undefined) return;
  const succession = { id, of: source.clusterID, backup: source.name };
  await recordSuccession(store, source.clusterName, succession, signal);
}

/**
 * Introduces the new cluster before the restore counts as proved: its first backup may begin at once. A failure is only
 * logged, since the record of the restore's end is preceded by the same.
 */
export async function tryToIntroduce(
  { resources, openStore, log }: Omit<RestoreWorkDeps, "openRestored">,
  restore: EtcdRestore,
  id: string,
  cancelled: AbortSignal,
): Promise<void> {
  const signal = AbortSignal.any([cancelled, AbortSignal.timeout(timeoutMs)]);
  try {
    const store = await storeOfSource(restore, resources, signal);
    if (store.spec.accessMode === "ReadOnly") return;
    await using opened = await openStore(store, signal);
    await introduceCluster(opened, restore, signal, id);
  } catch (error) {
    cancelled.throwIfAborted();
    log.warn(
      { restore: keyOf(restore.metadata), err: error },
      "the new cluster could not be recorded in the folder of the backup",
    );
  }
}
