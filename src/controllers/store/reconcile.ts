import type { StoreEvent } from "../../api/v1alpha1/events.ts";
import type { StoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { clockWarning } from "../../backup/catalog/latest.ts";
import type { Summary } from "../../backup/catalog/summary.ts";
import { wholeSeconds } from "../../core/conditions.ts";
import { asOperatorError } from "../../core/errors.ts";
import type { KnownBackups } from "../../core/store/known-backups.ts";
import type { StoreFacts } from "../../core/store/facts.ts";
import { type StoreProbe, needsWriteProbe, probed } from "../../core/store/status.ts";
import { parseSchedule } from "../../core/schedule/schedule.ts";
import { type FoundFailures, failuresUnknown, withVerification } from "../../core/verification/status.ts";
import { type KnownWriters, firstWriter, statusOf, writerOf } from "../../core/store/writer.ts";
import type { Capabilities, Store } from "../../store/store.ts";
import { type EventSink, eventsOf } from "../events.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";
import type { Log } from "../../core/log.ts";
import { type Reconcile, type Request, keyOf } from "../reconciler.ts";
import type { VerificationReports } from "../verification/reports.ts";
import type { Catalogs } from "./catalogs.ts";
import { guard } from "./guard.ts";
import { type RecordResources, Records } from "./records.ts";
import { freshNames, renewWriter } from "./renew.ts";
import type { HoldState, StoreHolds } from "./holds.ts";
import { sweep } from "./sweep.ts";
import { findFailures } from "./verification.ts";

export interface StoreResources {
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  writeStoreStatus(store: EtcdBackupStore, status: EtcdBackupStoreStatus, signal: AbortSignal): Promise<void>;
  writeStoreFinalizers(store: EtcdBackupStore, finalizers: string[], signal: AbortSignal): Promise<void>;
  /** How many EtcdBackups need the store, by the API server itself. */
  countBackupsNeeding(store: Request, signal: AbortSignal): Promise<number>;
}

export interface StoreControllerDeps {
  resources: StoreResources & RecordResources;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  factsOf(store: EtcdBackupStore): StoreFacts;
  /** How many EtcdBackups need the store with this key, by the watch. */
  backupsNeeding(key: string): number;
  /** By store: held while its finalizer is removed, or that of one of its EtcdBackups is added. */
  guards: KeyedMutex;
  holds: StoreHolds;
  writers: KnownWriters;
  catalogs: Catalogs;
  /** What the verifications of stored backups have found. */
  reports: Pick<VerificationReports, "find">;
  /** The EtcdBackups, by the watch. */
  known: KnownBackups;
  events: EventSink;
  now: () => Date;
  log: Log;
}

const probeEveryMs = 5 * 60_000;
/** Milliseconds until the next probe after one that failed. */
const retryProbeMs = 30_000;
const probeTimeoutMs = 60_000;

/** Milliseconds between two sweeps of a store. */
const sweepEveryMs = 60 * 60_000;

/**
 * Reconciles one EtcdBackupStore: probes it, counts its backups, writes the status. Once an hour, and at its first probe
 * in this term, it deletes abandoned objects by the same listing.
 */
export function storeReconciler(deps: StoreControllerDeps): Reconcile {
  const { resources, now } = deps;
  /** When each store was swept, by its UID and generation: another location is another store. */
  const sweeps = new Map<string, { of: string; at: number }>();
  const records = new Records(deps);
  const forget = (request: Request) => {
    sweeps.delete(keyOf(request));
    deps.catalogs.forget(request);
    records.forget(request);
  };
  return async (request, signal) => {
    const read = await resources.store(request, signal);
    const held = await hold(deps, read, request, signal);
    if (held === undefined || held.is === "foreign") {
      forget(request);
      return held;
    }
    await guard(deps, held.store, signal);
    const renewEveryMs = Math.min(probeEveryMs, deps.holds.renewEveryMs);
    if (held.store.metadata.deletionTimestamp !== undefined) {
      forget(request);
      return { againAfterMs: renewEveryMs };
    }
    const { store, isNew } = await introduced(deps, held.store, signal);
    if (await goOnImporting(deps, records, store, signal)) return { againAfterMs: 0 };
    const deadline = AbortSignal.timeout(probeTimeoutMs);
    const of = `${store.metadata.uid} ${store.metadata.generation}`;
    const last = sweeps.get(keyOf(request));
    // A clock that was set back must not put off the sweep.
    const isDue = last?.of !== of || Math.abs(now().getTime() - last.at) >= sweepEveryMs;
    const sweeping = isDue && store.spec.accessMode === "ReadWrite";
    const probe = await probeStore(deps, store, {
      sweeping,
      isNew,
      signal: AbortSignal.any([signal, deadline]),
    });
    signal.throwIfAborted();
    if (sweeping && probe.error === undefined) sweeps.set(keyOf(request), { of, at: now().getTime() });
    // A slow probe must not outlive the hold: another operator may have taken over meanwhile.
    const kept = deps.holds.isLate(store)
      ? await hold(deps, await resources.store(request, signal), request, signal)
      : held;
    if (kept?.is !== "ours") return kept;
    const imports = await importBackups(deps, records, probe, signal);
    const status = { ...statusAfter(deps, probe, imports?.fields), operator: deps.holds.renewal() };
    const renewedAt = deps.holds.clock();
    await resources.writeStoreStatus(store, status, signal);
    deps.holds.renewed(store, renewedAt);
    recordChanges(deps.events, store, status);
    const isSettled = probe.error === undefined && imports?.next !== "retry";
    if (imports?.next === "goOn") return { againAfterMs: 0 };
    return { againAfterMs: isSettled ? renewEveryMs : Math.min(retryProbeMs, renewEveryMs) };
  };
}

/**
 * The store with a writer, so that its backups may begin before its first probe has ended. A store that was deleted and
 * made again under its name goes on with the writer that this process has renewed. `isNew`: nobody has renewed it yet.
 */
async function introduced(
  { resources, writers }: StoreControllerDeps,
  store: EtcdBackupStore,
  signal: AbortSignal,
): Promise<{ store: EtcdBackupStore; isNew: boolean }> {
  if (store.spec.accessMode === "ReadOnly" || store.status.writer !== undefined)
    return { store, isNew: false };
  const known = writers.get(keyOf(store.metadata));
  const status = {
    ...store.status,
    writer: known === undefined ? firstWriter(freshNames()) : statusOf(known),
  };
  await resources.writeStoreStatus(store, status, signal);
  return { store: { ...store, status }, isNew: known === undefined };
}

/** The next status, without the hold. */
function statusAfter(
  deps: StoreControllerDeps,
  probe: ProbeOfResource,
  imports: Pick<StoreProbe, "catalog"> | undefined,
): EtcdBackupStoreStatus {
  const { resource, failures = failuresUnknown } = probe;
  const now = deps.now();
  const { missing } = deps.factsOf(resource);
  const { verify } = resource.spec;
  return withVerification(resource, probed(resource, { ...probe, ...imports }, { missing, now }), {
    found: failures,
    report: deps.reports.find(resource),
    schedule: verify && parseSchedule(verify.schedule, verify.timeZone),
    now,
  });
}

/** Goes on with an import of many backups, unless the next probe is due. Whether more is left. */
async function goOnImporting(
  { catalogs, now, log }: StoreControllerDeps,
  records: Records,
  store: EtcdBackupStore,
  signal: AbortSignal,
): Promise<boolean> {
  const catalog = catalogs.find(store);
  const listedMsAgo = now().getTime() - (catalog?.listedAt?.getTime() ?? 0);
  if (Math.abs(listedMsAgo) >= probeEveryMs) return false;
  try {
    return await records.goOn(store, catalog, signal);
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ store: keyOf(store.metadata), err: error }, importFailed);
    return false;
  }
}

const importFailed = "the backups in the store cannot be imported";

/** Makes EtcdBackups for the backups in a store that was listed. A failure is only logged: the store is usable. */
async function importBackups(
  { catalogs, log }: StoreControllerDeps,
  records: Records,
  { resource, location }: ProbeOfResource,
  signal: AbortSignal,
): Promise<{ next: "settled" | "goOn" | "retry"; fields?: Pick<StoreProbe, "catalog"> } | undefined> {
  const catalog = catalogs.find(resource);
  if (catalog === undefined || location === undefined) return undefined;
  try {
    const deadline = AbortSignal.timeout(probeTimeoutMs);
    const within = AbortSignal.any([signal, deadline]);
    const { isDone, status } = await records.sync(resource, { catalog, location, signal: within });
    return { next: isDone ? "settled" : "goOn", fields: { catalog: status } };
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ store: keyOf(resource.metadata), err: error }, importFailed);
    return { next: "retry" };
  }
}

/** Takes or renews the hold of a store that exists. Reports one of another operator. */
async function hold(
  { holds }: StoreControllerDeps,
  store: EtcdBackupStore | undefined,
  request: Request,
  signal: AbortSignal,
): Promise<HoldState | undefined> {
  const held = store === undefined ? undefined : await holds.hold(store, signal);
  if (store !== undefined && held?.is === "foreign") holds.leave(store, held.holder);
  else holds.keep("EtcdBackupStore", request);
  return held;
}

/** Records an event when the status of a condition changes. That of the only writer, which is usual, needs none. */
function recordChanges(sink: EventSink, store: EtcdBackupStore, status: EtcdBackupStoreStatus): void {
  const events = eventsOf<StoreEvent>(sink, store, "Probe");
  for (const type of ["Ready", "Writer"]) {
    const find = ({ conditions }: EtcdBackupStoreStatus) => conditions?.find((c) => c.type === type);
    const after = find(status);
    const before = find(store.status)?.status;
    if (after === undefined || after.status === before) continue;
    if (type === "Writer" && before === undefined && after.status === "True") continue;
    const reason = after.reason as StoreReason;
    if (after.status === "True") events.normal(reason, after.message);
    else events.warning(reason, after.message);
  }
}

interface ProbeOfResource extends StoreProbe {
  resource: EtcdBackupStore;
  location?: string;
  /** Absent: the probe failed. */
  failures?: FoundFailures;
}

async function probeStore(
  deps: StoreControllerDeps,
  resource: EtcdBackupStore,
  { sweeping, isNew, signal }: { sweeping: boolean; isNew: boolean; signal: AbortSignal },
): Promise<ProbeOfResource> {
  let url: string | undefined;
  let current = resource;
  try {
    await using store = await deps.openStore(resource, signal);
    url = store.url;
    const write = needsWriteProbe(resource);
    const capabilities = await store.probe({ signal, write });
    let original: StoreProbe["original"];
    if (resource.spec.accessMode === "ReadWrite")
      original = await renewWriter(deps, resource, store, {
        isNew,
        onAnnounced: (announced) => (current = announced),
        signal,
      });
    const catalog = deps.catalogs.of(resource, deps.openStore);
    const objects = await catalog.refresh(store, { keepRest: sweeping, signal });
    if (sweeping) await sweep(deps, store, { objects, writer: writerOf(current).id, signal });
    const summary = await catalog.summarize(store, signal);
    const { count, newest } = summary;
    return {
      resource: current,
      url,
      location: store.location,
      original,
      warnings: warningsOf(summary),
      // A read-only probe cannot test every capability, so the result of the last write probe stays.
      capabilities: write
        ? capabilities
        : { ...(resource.status.capabilities ?? capabilities), ...versioningOf(capabilities) },
      backups: count,
      failures: await findFailures(catalog, current, store, signal),
      ...(newest === undefined ? {} : { latest: latestOf(newest) }),
    };
  } catch (thrown) {
    return { resource: current, ...(url === undefined ? {} : { url }), error: asOperatorError(thrown) };
  }
}

function warningsOf({ newest, laterByClock, unreadable }: Summary): string[] {
  return [
    ...(newest === undefined || laterByClock === undefined ? [] : [clockWarning(laterByClock, newest)]),
    ...unreadable.map(
      (folder) => `the claim of the folder ${folder} cannot be read (etcd-backup claim show)`,
    ),
  ];
}

/** Versioning can be turned on at any time, and a read-only probe sees it. */
function versioningOf({ versioning }: Capabilities): Pick<Capabilities, "versioning"> {
  return versioning === undefined ? {} : { versioning };
}

function latestOf({ name, clusterName, revision, manifest }: NonNullable<Summary["newest"]>) {
  return { name, clusterName, revision, completionTime: wholeSeconds(new Date(manifest.run.completedAt)) };
}
