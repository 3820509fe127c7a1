import { isDeepStrictEqual } from "node:util";
import type { StoreEvent } from "../../api/v1alpha1/events.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { decideGuard, deletionWaits, storeFinalizer } from "../../core/store/guard.ts";
import { eventsOf } from "../events.ts";
import { keyOf } from "../reconciler.ts";
import type { StoreControllerDeps } from "./reconcile.ts";

/** Keeps the finalizer of a store as its EtcdBackups need it, and says why a deletion waits. */
export async function guard(
  deps: StoreControllerDeps,
  store: EtcdBackupStore,
  signal: AbortSignal,
): Promise<void> {
  const decision = decideGuard(store, deps.backupsNeeding(keyOf(store.metadata)));
  switch (decision.do) {
    case "nothing":
      return;
    case "add":
      return deps.resources.writeStoreFinalizers(
        store,
        [...(store.metadata.finalizers ?? []), storeFinalizer],
        signal,
      );
    case "remove":
      return release(deps, store, signal);
    case "wait":
      return reportWait(deps, store, decision.message, signal);
    default:
      return decision satisfies never;
  }
}

/**
 * The watch may be behind, so the API server is asked once more. Under the mutex of the store no EtcdBackup gets its
 * finalizer between that answer and the release.
 */
async function release(
  { guards, resources }: StoreControllerDeps,
  store: EtcdBackupStore,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = "", name, finalizers = [] } = store.metadata;
  const unlock = await guards.acquire(keyOf(store.metadata), signal);
  try {
    if ((await resources.countBackupsNeeding({ namespace, name }, signal)) > 0) return;
    const others = finalizers.filter((one) => one !== storeFinalizer);
    await resources.writeStoreFinalizers(store, others, signal);
  } finally {
    unlock();
  }
}

async function reportWait(
  { events, resources, now }: StoreControllerDeps,
  store: EtcdBackupStore,
  message: string,
  signal: AbortSignal,
): Promise<void> {
  const status = deletionWaits(store, message, now());
  if (isDeepStrictEqual(status, store.status)) return;
  await resources.writeStoreStatus(store, status, signal);
  eventsOf<StoreEvent>(events, store, "Delete").warning("NeededByBackups", message);
}
