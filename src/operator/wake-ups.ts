import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import { keyOf } from "../controllers/reconciler.ts";
import { isSettled } from "../core/backup/decide.ts";
import { isFinished } from "../core/conditions.ts";
import type { KeyedQueue } from "../kube/queue.ts";
import type { Informers } from "./informers.ts";

/** The queue of each controller, with the keys of the objects to reconcile. */
export interface Queues {
  backups: KeyedQueue;
  stores: KeyedQueue;
  restores: KeyedQueue;
}

/** Milliseconds between the end of a backup and the probe of its store: ends that follow each other share one. */
const probeAfterEndMs = 5_000;

/**
 * Maps changes of objects to the keys that the controllers reconcile. At the start every existing object is a change.
 * `hasRun`: whether this process holds a run of an EtcdBackup.
 */
export function wakeControllers(
  informers: Informers,
  queues: Queues,
  hasRun: (key: string) => boolean,
  until: AbortSignal,
): void {
  informers.restores.onChange((key) => queues.restores.add(key), until);
  const needs = new StoreNeeds();
  wakeByBackups(informers, queues, { hasRun, needs, until });
  wakeByStores(informers, queues, needs, until);
}

/**
 * A settled EtcdBackup is not reconciled, so it costs no request at a relist or a new term. The copy may be stale, but
 * whatever made it stale is a change that the watch or the next list reports, and that is judged here again. A run of
 * this process is always reconciled: its end has to be forgotten. The end of a backup wakes its store, which holds one
 * more backup. The backups that wait for a slot are woken by the run registry.
 */
function wakeByBackups(
  { backups }: Informers,
  queues: Queues,
  { hasRun, needs, until }: { hasRun: (key: string) => boolean; needs: StoreNeeds; until: AbortSignal },
): void {
  const unfinished = new Set<string>();
  backups.onChange((key, backup) => {
    needs.set(key, backup);
    if (backup === undefined || hasRun(key) || !isSettled(backup)) queues.backups.add(key);
    if (backup !== undefined && !isFinished(backup)) unfinished.add(key);
    else if (unfinished.delete(key) && backup !== undefined)
      queues.stores.addAfter(storeKeyOf(backup), probeAfterEndMs);
  }, until);
}

/**
 * A change of the spec wakes the store and its backups, and so does another writer, for which the backups wait. Another
 * change of its status does not: its own controller writes it.
 */
function wakeByStores({ stores }: Informers, queues: Queues, needs: StoreNeeds, until: AbortSignal): void {
  const specs = new Map<string, string>();
  stores.onChange((key, store) => {
    const { uid, generation, deletionTimestamp } = store?.metadata ?? {};
    const spec = `${uid} ${generation} ${deletionTimestamp} ${store?.status.writer?.id}`;
    if (specs.get(key) === spec) return;
    if (store === undefined) specs.delete(key);
    else specs.set(key, spec);
    queues.stores.add(key);
    for (const backup of needs.of(key)) queues.backups.add(backup);
  }, until);
}

/** The EtcdBackups that need each store: those that are unfinished or being deleted. */
class StoreNeeds {
  readonly #backups = new Map<string, Set<string>>();
  readonly #stores = new Map<string, string>();

  of(store: string): Iterable<string> {
    return this.#backups.get(store) ?? [];
  }

  set(key: string, backup: EtcdBackup | undefined): void {
    const before = this.#stores.get(key);
    const isNeeded =
      backup !== undefined && (backup.metadata.deletionTimestamp !== undefined || !isFinished(backup));
    const store = isNeeded ? storeKeyOf(backup) : undefined;
    if (before === store) return;
    if (before !== undefined) {
      this.#stores.delete(key);
      const keys = this.#backups.get(before);
      keys?.delete(key);
      if (keys?.size === 0) this.#backups.delete(before);
    }
    if (store === undefined) return;
    this.#stores.set(key, store);
    const keys = this.#backups.get(store) ?? new Set();
    this.#backups.set(store, keys.add(key));
  }
}

function storeKeyOf({ metadata: { namespace = "" }, spec }: EtcdBackup): string {
  return keyOf({ namespace, name: spec.storeRef.name });
}
