import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import { keyOf } from "../controllers/reconciler.ts";
import { conditionStatus } from "../core/conditions.ts";
import type { KeyedQueue } from "../kube/queue.ts";
import type { Informers } from "./informers.ts";

/** The queue of each controller, with the keys of the objects to reconcile. */
export interface Queues {
  backups: KeyedQueue;
  stores: KeyedQueue;
  restores: KeyedQueue;
}

/**
 * Maps changes of objects to the keys that the controllers reconcile. At the start every existing object is a change.
 */
export function wakeControllers(informers: Informers, queues: Queues, until: AbortSignal): void {
  informers.restores.onChange((key) => queues.restores.add(key), until);
  wakeByBackups(informers, queues, until);
  wakeByStores(informers, queues, until);
}

/** The end of a backup wakes its store, which holds one more backup, and the backups that wait for a slot. */
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

/**
 * A change of the spec wakes the store and its backups. A change of its status does not: its own controller writes it.
 */
function wakeByStores({ backups, stores }: Informers, queues: Queues, until: AbortSignal): void {
  const specs = new Map<string, string>();
  stores.onChange((key, store) => {
    const { uid, generation, deletionTimestamp } = store?.metadata ?? {};
    const spec = `${uid} ${generation} ${deletionTimestamp}`;
    if (specs.get(key) === spec) return;
    specs.set(key, spec);
    queues.stores.add(key);
    for (const backup of backups.list()) {
      const needsStore = backup.metadata.deletionTimestamp !== undefined || !isFinished(backup);
      if (needsStore && storeKeyOf(backup) === key) queues.backups.add(keyOf(backup.metadata));
    }
  }, until);
}

function storeKeyOf({ metadata: { namespace = "" }, spec }: EtcdBackup): string {
  return keyOf({ namespace, name: spec.storeRef.name });
}

export function isFinished({ status }: EtcdBackup): boolean {
  return conditionStatus(status.conditions, "Finished") === "True";
}
