import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreReason } from "../../api/v1alpha1/conditions.ts";
import { withHint } from "../../core/backup/decide.ts";
import { conditionStatus, setCondition, wholeSeconds } from "../../core/conditions.ts";
import { type OperatorError, asOperatorError } from "../../core/errors.ts";
import { type WholeBackup, summarise } from "../../backup/catalog/list.ts";
import { sweepAbandoned } from "../../backup/catalog/orphans.ts";
import type { Store } from "../../store/store.ts";
import type { EventSink } from "../events.ts";
import type { Log, Reconcile, Request } from "../reconciler.ts";

export interface StoreControllerDeps {
  resources: {
    store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
    writeStatus(store: EtcdBackupStore, status: EtcdBackupStoreStatus, signal: AbortSignal): Promise<void>;
  };
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  events: EventSink;
  now: () => Date;
  log: Log;
}

const probeEveryMs = 5 * 60_000;
const probeAgainMs = 30_000;
const probeTimeoutMs = 60_000;
/** No run takes longer than a day (spec.timeoutSeconds): what was begun before that is nobody's. */
const abandonedAfterMs = 25 * 60 * 60_000;

/** observe → decide → act for EtcdBackupStore: probe it, count what it holds, say so. */
export function storeReconciler(deps: StoreControllerDeps): Reconcile {
  return async (request, signal) => {
    const store = await deps.resources.store(request, signal);
    if (store === undefined || store.metadata.deletionTimestamp !== undefined) return undefined;
    if ((store.status.conditions ?? []).length === 0)
      await deps.resources.writeStatus(store, firstSight(store, deps.now()), signal);
    const probe = await look(deps, store, AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]));
    signal.throwIfAborted();
    const status = describe(store, probe, deps.now());
    await deps.resources.writeStatus(store, status, signal);
    const ready = probe.error === undefined;
    const before = store.status.conditions?.find((c) => c.type === "Ready")?.status;
    const after = status.conditions?.find((c) => c.type === "Ready");
    if (after !== undefined && after.status !== before) {
      deps.events.record({
        regarding: store,
        type: ready ? "Normal" : "Warning",
        reason: after.reason,
        action: "Probe",
        note: after.message,
      });
    }
    return { againAfterMs: ready ? probeEveryMs : probeAgainMs };
  };
}

interface Probe {
  url?: string;
  error?: OperatorError;
  capabilities?: NonNullable<EtcdBackupStoreStatus["capabilities"]>;
  backups?: number;
  latest?: NonNullable<EtcdBackupStoreStatus["latestBackup"]>;
}

async function look(
  deps: StoreControllerDeps,
  resource: EtcdBackupStore,
  signal: AbortSignal,
): Promise<Probe> {
  let url: string | undefined;
  try {
    await using store = await deps.openStore(resource, signal);
    url = store.url;
    const capabilities = await store.probe({ signal, write: wantsWriting(resource) });
    if (resource.spec.accessMode === "ReadWrite") await sweep(deps, store, signal);
    const { count, newest } = await summarise(store, { signal });
    return {
      url,
      // A look alone does not tell what writing would: what an earlier probe found out stays.
      capabilities: wantsWriting(resource) ? capabilities : (resource.status.capabilities ?? capabilities),
      backups: count,
      ...(newest === undefined ? {} : { latest: latestOf(newest) }),
    };
  } catch (thrown) {
    return { ...(url === undefined ? {} : { url }), error: asOperatorError(thrown) };
  }
}

/** Once for each spec, and again after a failure: in a bucket with versions every probe object leaves one behind. */
function wantsWriting({ spec, status, metadata }: EtcdBackupStore): boolean {
  const proved =
    status.observedGeneration === metadata.generation &&
    conditionStatus(status.conditions, "Ready") === "True";
  return spec.accessMode === "ReadWrite" && !proved;
}

function latestOf({
  name,
  clusterName,
  revision,
  manifest,
}: WholeBackup): NonNullable<EtcdBackupStoreStatus["latestBackup"]> {
  return { name, clusterName, revision, completionTime: wholeSeconds(new Date(manifest.run.completedAt)) };
}

function firstSight({ metadata: { generation }, status }: EtcdBackupStore, now: Date): EtcdBackupStoreStatus {
  const reason: StoreReason = "Probing";
  const ready = {
    type: "Ready",
    status: "Unknown",
    reason,
    message: "asking the store for the first time",
  } as const;
  return {
    ...status,
    observedGeneration: generation,
    conditions: setCondition([], ready, { generation, now }),
  };
}

/** Not being allowed to tidy up is no reason to call the store unusable. */
async function sweep({ now, log }: StoreControllerDeps, store: Store, signal: AbortSignal): Promise<void> {
  try {
    const count = await sweepAbandoned(store, {
      before: new Date(now().getTime() - abandonedAfterMs),
      signal,
    });
    if (count > 0) log.info({ store: store.url, count }, "cleared away what runs had left behind");
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ store: store.url, err: error }, "what runs have left behind cannot be cleared away");
  }
}

/** What was known of the backups stays while the store does not answer: a failed listing is never "empty". */
function describe(store: EtcdBackupStore, probe: Probe, now: Date): EtcdBackupStoreStatus {
  const { error, capabilities, backups, latest, url } = probe;
  const readOnly = store.spec.accessMode === "ReadOnly";
  const reason: StoreReason =
    error === undefined ? (readOnly ? "ReadOnly" : "Reachable") : reasonOf(error, store);
  const message =
    error === undefined
      ? `${backups} ${backups === 1 ? "backup" : "backups"}${readOnly ? "; nothing is written here" : ""}`
      : withHint(error);
  const stamp = { generation: store.metadata.generation, now };
  const known = store.status;
  return {
    observedGeneration: store.metadata.generation,
    conditions: setCondition(
      known.conditions ?? [],
      { type: "Ready", status: error === undefined ? "True" : "False", reason, message },
      stamp,
    ),
    lastProbeTime: wholeSeconds(now),
    ...pick("url", url ?? known.url),
    ...pick("capabilities", capabilities ?? known.capabilities),
    ...pick("backups", backups ?? known.backups),
    ...pick("latestBackup", error === undefined ? latest : known.latestBackup),
  };
}

function pick<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}

function reasonOf(error: OperatorError, store: EtcdBackupStore): StoreReason {
  switch (error.code) {
    case "NotFound":
      return store.spec.file === undefined ? "BucketNotFound" : "PathNotFound";
    case "Unauthorized":
    case "Unreachable":
    case "InvalidConfiguration":
    case "CredentialsNotFound":
      return error.code;
    case "Usage":
      return "InvalidConfiguration";
    case "Timeout":
      return "Unreachable";
    case "Internal":
      return "InternalError";
    default:
      return "StoreFailed";
  }
}
