import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { runPrefix } from "../../core/backup/decide.ts";
import { sweepRun } from "../../backup/catalog/orphans.ts";
import type { Store } from "../../store/store.ts";
import type { Log } from "../reconciler.ts";

/** What earlier attempts of this resource left behind is nobody's. Not being allowed to tidy up stops no backup. */
export async function clearEarlier(
  store: Store,
  { spec, metadata }: EtcdBackup,
  { log, now, signal }: { log: Log; now: () => Date; signal: AbortSignal },
): Promise<void> {
  // The hour is for stores whose clock is ahead of ours: by its name the object is this resource's anyway.
  const before = new Date(now().getTime() + 3_600_000);
  try {
    await sweepRun(store, {
      clusterName: spec.clusterName,
      runPrefix: runPrefix(metadata.uid),
      before,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    log.warn(
      { backup: `${metadata.namespace}/${metadata.name}`, err: error },
      "earlier attempts cannot be cleared away",
    );
  }
}
