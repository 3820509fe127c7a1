import type { StoreEvent } from "../../api/v1alpha1/events.ts";
import type { StoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type CompleteBackup, summarize } from "../../backup/catalog/list.ts";
import { sweepAbandoned } from "../../backup/catalog/orphans.ts";
import { wholeSeconds } from "../../core/conditions.ts";
import { asOperatorError } from "../../core/errors.ts";
import { type StoreProbe, needsWriteProbe, probed, probing } from "../../core/store/status.ts";
import type { Store } from "../../store/store.ts";
import { type EventSink, eventsOf } from "../events.ts";
import type { Log, Reconcile, Request } from "../reconciler.ts";

export interface StoreResources {
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  writeStoreStatus(store: EtcdBackupStore, status: EtcdBackupStoreStatus, signal: AbortSignal): Promise<void>;
}

export interface StoreControllerDeps {
  resources: StoreResources;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  events: EventSink;
  now: () => Date;
  log: Log;
}

const probeEveryMs = 5 * 60_000;
const probeAgainMs = 30_000;
const probeTimeoutMs = 60_000;
/** A run takes at most a day (spec.timeoutSeconds), so what is older than this belongs to no run. */
const abandonedAfterMs = 25 * 60 * 60_000;

/** Reconciles one EtcdBackupStore: probes it, counts its backups, deletes abandoned objects, writes the status. */
export function storeReconciler(deps: StoreControllerDeps): Reconcile {
  const { resources, now } = deps;
  return async (request, signal) => {
    const store = await resources.store(request, signal);
    if (store === undefined || store.metadata.deletionTimestamp !== undefined) return undefined;
    if ((store.status.conditions ?? []).length === 0)
      await resources.writeStoreStatus(store, probing(store, now()), signal);
    const probe = await look(deps, store, AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]));
    signal.throwIfAborted();
    const status = probed(store, probe, now());
    await resources.writeStoreStatus(store, status, signal);
    recordChange(deps.events, store, status);
    return { againAfterMs: probe.error === undefined ? probeEveryMs : probeAgainMs };
  };
}

/** An event for each turn of Ready. */
function recordChange(sink: EventSink, store: EtcdBackupStore, status: EtcdBackupStoreStatus): void {
  const events = eventsOf<StoreEvent>(sink, store, "Probe");
  const readyOf = ({ conditions }: EtcdBackupStoreStatus) => conditions?.find((c) => c.type === "Ready");
  const after = readyOf(status);
  if (after === undefined || after.status === readyOf(store.status)?.status) return;
  const reason = after.reason as StoreReason;
  if (after.status === "True") events.normal(reason, after.message);
  else events.warning(reason, after.message);
}

async function look(
  deps: StoreControllerDeps,
  resource: EtcdBackupStore,
  signal: AbortSignal,
): Promise<StoreProbe> {
  let url: string | undefined;
  try {
    await using store = await deps.openStore(resource, signal);
    url = store.url;
    const write = needsWriteProbe(resource);
    const capabilities = await store.probe({ signal, write });
    if (resource.spec.accessMode === "ReadWrite") await sweep(deps, store, signal);
    const { count, newest } = await summarize(store, { signal });
    return {
      url,
      // A read-only probe does not find out what a write probe does: the earlier answer stays.
      capabilities: write ? capabilities : (resource.status.capabilities ?? capabilities),
      backups: count,
      ...(newest === undefined ? {} : { latest: latestOf(newest) }),
    };
  } catch (thrown) {
    return { ...(url === undefined ? {} : { url }), error: asOperatorError(thrown) };
  }
}

function latestOf({ name, clusterName, revision, manifest }: CompleteBackup) {
  return { name, clusterName, revision, completionTime: wholeSeconds(new Date(manifest.run.completedAt)) };
}

/** A store that refuses to delete is still usable. */
async function sweep({ now, log }: StoreControllerDeps, store: Store, signal: AbortSignal): Promise<void> {
  try {
    const before = new Date(now().getTime() - abandonedAfterMs);
    const count = await sweepAbandoned(store, { before, signal });
    if (count > 0) log.info({ store: store.url, count }, "deleted orphaned objects");
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ store: store.url, err: error }, "orphaned objects cannot be deleted");
  }
}
