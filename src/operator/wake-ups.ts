import { keyOf, requestOf } from "../controllers/reconciler.ts";
import { isSettled } from "../core/backup/decide.ts";
import { isFinished } from "../core/conditions.ts";
import { needsStore } from "../core/store/guard.ts";
import { importAnnotation } from "../core/store/records.ts";
import type { KeyedQueue } from "../kube/queue.ts";
import { BackupsByStore, storeKeyOf } from "./backups-by-store.ts";
import type { Informers } from "./informers.ts";

/** The queue of each controller, with the keys of the objects to reconcile. */
export interface Queues {
  backups: KeyedQueue;
  stores: KeyedQueue;
  restores: KeyedQueue;
}

type Watched = Pick<Informers, "backups" | "stores" | "restores">;

/** Milliseconds between the end of a backup and the probe of its store: ends that follow each other share one. */
export const probeAfterEndMs = 5_000;

/** The EtcdBackups of each store that need it for their own deletion. */
export function backupsThatNeedStores(): BackupsByStore {
  return new BackupsByStore(needsStore);
}

/**
 * Maps changes of objects to the keys that the controllers reconcile. At the start every existing object is a change.
 * `hasRun`: whether this process holds a run of an EtcdBackup. `guarding` follows the EtcdBackups.
 */
export function wakeControllers(
  informers: Watched,
  queues: Queues,
  { hasRun, guarding }: { hasRun: (key: string) => boolean; guarding: BackupsByStore },
  until: AbortSignal,
): void {
  informers.restores.onChange((key) => queues.restores.add(key), until);
  const active = new BackupsByStore(
    (backup) => backup.metadata.deletionTimestamp !== undefined || !isFinished(backup),
  );
  wakeByGuards(informers, queues, guarding, until);
  wakeByBackups(informers, queues, { hasRun, active, until });
  wakeByStores(informers, queues, active, until);
}

/** A store gets its finalizer with the first EtcdBackup that needs it, and loses it with the last. */
function wakeByGuards(
  { backups }: Watched,
  { stores }: Queues,
  guarding: BackupsByStore,
  until: AbortSignal,
): void {
  backups.onChange((key, backup) => {
    const { from, to } = guarding.set(key, backup);
    if (from !== undefined) stores.addAfter(from, guarding.of(from).size === 0 ? 0 : probeAfterEndMs);
    if (to !== undefined && guarding.of(to).size === 1) stores.addAfter(to, probeAfterEndMs);
  }, until);
}

/**
 * A settled EtcdBackup is not reconciled, so it costs no request at a relist or a new term. The copy may be stale, but
 * whatever made it stale is a change that the watch or the next list reports, and that is judged here again. A run of
 * this process is always reconciled: its end has to be forgotten. The end of a backup wakes its store, which holds one
 * more backup. The backups that wait for a slot are woken by the admission.
 */
function wakeByBackups(
  { backups }: Watched,
  queues: Queues,
  { hasRun, active, until }: { hasRun: (key: string) => boolean; active: BackupsByStore; until: AbortSignal },
): void {
  const unfinished = new Set<string>();
  backups.onChange((key, backup) => {
    active.set(key, backup);
    if (backup === undefined || hasRun(key) || !isSettled(backup)) queues.backups.add(key);
    if (backup !== undefined && !isFinished(backup)) unfinished.add(key);
    else if (unfinished.delete(key) && backup !== undefined && backup.spec.imported === undefined)
      queues.stores.addAfter(storeKeyOf(backup), probeAfterEndMs);
  }, until);
}

/**
 * A change of the spec, or an import that a person asks for, wakes the store and its active backups: those that are unfinished or being deleted. So does a new
 * writer, for which the backups wait. Another change of its status does not, since its own controller writes it, unless
 * it names another holder.
 */
function wakeByStores(
  { stores, restores }: Watched,
  queues: Queues,
  active: BackupsByStore,
  until: AbortSignal,
): void {
  const specs = new Map<string, { spec: string; writer: string | undefined }>();
  const holders = new Map<string, string | undefined>();
  stores.onChange((key, store) => {
    const before = holders.get(key);
    const holder = store?.status.operator?.lease;
    if (store === undefined) holders.delete(key);
    else holders.set(key, holder);
    if (store !== undefined && before !== undefined && before !== holder) {
      queues.stores.add(key);
      wakeUsers(key);
    }
    const { uid, generation, deletionTimestamp, annotations } = store?.metadata ?? {};
    const spec = `${uid} ${generation} ${deletionTimestamp} ${annotations?.[importAnnotation]}`;
    const known = specs.get(key);
    const writer = store?.status.writer?.id;
    if (known?.spec === spec && known.writer === writer) return;
    if (store === undefined) specs.delete(key);
    else specs.set(key, { spec, writer });
    if (known?.spec !== spec) queues.stores.add(key);
    for (const backup of active.of(key)) queues.backups.add(backup);
  }, until);

  /** The objects that an operator leaves alone while another one holds their store. */
  function wakeUsers(key: string): void {
    for (const backup of active.of(key)) queues.backups.add(backup);
    for (const { metadata } of restores.list())
      if (metadata.namespace === requestOf(key).namespace) queues.restores.add(keyOf(metadata));
  }
}
