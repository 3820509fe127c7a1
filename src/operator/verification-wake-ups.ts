import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { RunningVerifications } from "../controllers/verification/running.ts";
import type { KeyedQueue } from "../kube/queue.ts";
import type { Informers } from "./informers.ts";

/**
 * Wakes the verifications of a store whose spec or holder changes, and stops the one under way. Another change of its
 * status does neither. A store without spec.verify is only looked at when it has just lost it.
 */
export function wakeVerifications(
  { stores }: Pick<Informers, "stores">,
  queue: Pick<KeyedQueue, "add">,
  running: Pick<RunningVerifications, "stop">,
  until: AbortSignal,
): void {
  const known = new Map<string, string>();
  stores.onChange((key, store) => {
    const wanted = store?.spec.verify === undefined ? undefined : wantedOf(store);
    const before = known.get(key);
    if (wanted === before) return;
    if (wanted === undefined) known.delete(key);
    else known.set(key, wanted);
    running.stop(key, "the EtcdBackupStore has changed");
    queue.add(key);
  }, until);
}

function wantedOf({ metadata, status }: EtcdBackupStore): string {
  const { uid, generation, deletionTimestamp } = metadata;
  return JSON.stringify([uid, generation, deletionTimestamp, status.operator?.lease]);
}
