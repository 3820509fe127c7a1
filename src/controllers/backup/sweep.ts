import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { type RunWindow, keptMessage, sweepRun } from "../../backup/catalog/orphans.ts";
import { runPrefix } from "../../core/backup/run-id.ts";
import type { Store } from "../../store/store.ts";
import type { Log } from "../../core/log.ts";
import { keyOf } from "../reconciler.ts";

/**
 * Deletes the orphaned objects of this EtcdBackup's earlier attempts: data without a manifest, and unfinished uploads.
 * `window`: when they were named, if that is known.
 * A failure is only logged.
 */
export async function sweepAttempts(
  store: Store,
  { spec, metadata }: EtcdBackup,
  { log, now, signal }: { log: Log; now: () => Date; signal: AbortSignal },
  window?: RunWindow,
): Promise<void> {
  // The store's clock may be up to an hour ahead; the run prefix in the names makes the age irrelevant.
  const before = new Date(now().getTime() + 3_600_000);
  try {
    await sweepRun(store, {
      clusterName: spec.clusterName,
      runPrefix: runPrefix(metadata.uid),
      before,
      ...(window === undefined ? {} : { window }),
      signal,
      onKept: (object) => log.warn({ backup: keyOf(metadata), object }, keptMessage),
    });
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ backup: keyOf(metadata), err: error }, "the objects of earlier attempts cannot be deleted");
  }
}
