import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import { keyOf } from "../controllers/reconciler.ts";
import { conditionStatus } from "../core/conditions.ts";
import type { KeyedQueue } from "../kube/queue.ts";
import type { Informers } from "./informers.ts";

/** One queue a controller: keys of the objects to reconcile. */
export interface Queues {
  backups: KeyedQueue;
  stores: KeyedQueue;
  restores: KeyedQueue;
}

/** Which change of which object makes which controller reconcile which key. At first every object that exists. */
export function wakeControllers(informers: Informers, queues: Queues, until: AbortSignal): void {
  informers.restores.onChange((key) => queues.restores.add(key), until);
  wakeByBackups(informers, queues, until);
  wakeByStores(informers, queues, until);
}

/** The end of a backup changes what its store holds, and frees a slot for those that wait. */
function wakeByBackups({ backups }: Informers, queues: Queues, until: AbortSignal): void {
  const unfinished = new Set<string>();
  backups.onChange((key, backup) => {
    queues.backups.add(key);
    if (backup !== undefined && !isFinished(backup)) unfinished.add(key);
    else if (unfinished.delete(key)) {
      if (backup !== undefined) queues.stores.add(storeKeyOf(backup));
      for (const other of unfinished) queues.backups.add(other);
    }
  }, until);
}

/** A store's status is written by its own controller, and must not make that probe the store again. */
function wakeByStores({ backups, stores }: Informers, queues: Queues, until: AbortSignal): void {
  const specs = new Map<string, string>();
  stores.onChange((key, store) => {
    const { uid, generation, deletionTimestamp } = store?.metadata ?? {};
    const spec = `${uid} ${generation} ${deletionTimestamp}`;
    if (specs.get(key) === spec) return;
    specs.set(key, spec);
    queues.stores.add(key);
    for (const backup of backups.list()) {
      const waits = backup.metadata.deletionTimestamp !== undefined || !isFinished(backup);
      if (waits && storeKeyOf(backup) === key) queues.backups.add(keyOf(backup.metadata));
    }
  }, until);
}

function storeKeyOf({ metadata: { namespace = "" }, spec }: EtcdBackup): string {
  return keyOf({ namespace, name: spec.storeRef.name });
}

export function isFinished({ status }: EtcdBackup): boolean {
  return conditionStatus(status.conditions, "Finished") === "True";
}
