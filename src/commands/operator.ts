import { hostname } from "node:os";
import { type EtcdBackup, etcdBackupDefinition } from "../api/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../api/etcd-backup-store.ts";
import { conditionStatus } from "../core/conditions.ts";
import { OperatorError } from "../core/errors.ts";
import { type BackupControllerDeps, type BackupResources, backupReconciler } from "../controllers/backup.ts";
import { type BackupReport, backupRunner } from "../controllers/backup-run.ts";
import {
  type ConnectionReader,
  type HostPathNamespaces,
  endpointsFor,
  etcdAccessFor,
  storeConfigFor,
} from "../controllers/connection.ts";
import { type Reconcile, keyOf, worker } from "../controllers/controller.ts";
import { Runs } from "../controllers/runs.ts";
import { storeReconciler } from "../controllers/store.ts";
import { Turns } from "../controllers/turns.ts";
import { openCluster } from "../etcd/cluster.ts";
import { podIPs, serviceIPs } from "../kube/addresses.ts";
import { type Cache, startCache } from "../kube/cache.ts";
import { type KubeClient, connect } from "../kube/client.ts";
import { createEventRecorder } from "../kube/events.ts";
import { customResource } from "../kube/objects.ts";
import { KeyedQueue } from "../kube/queue.ts";
import { readSecret } from "../kube/secrets.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { openStore } from "../store/open-store.ts";
import { serveHealth } from "../telemetry/health.ts";
import { createLog } from "../telemetry/log.ts";
import { type Metrics, createMetrics } from "../telemetry/metrics.ts";
import type { Context, GlobalFlags } from "./context.ts";
import { count } from "./flags.ts";
import { toolName, version } from "./version.ts";

export interface OperatorFlags extends GlobalFlags {
  kubeconfig?: string;
  watchNamespaces?: string;
  maxConcurrentBackups: string;
  listen: string;
  hostPathNamespaces?: string;
}

const backupKind = customResource(etcdBackupDefinition);
const storeKind = customResource(etcdBackupStoreDefinition);
/** Passes of one controller that may run at a time; runs themselves are bounded apart. */
const workers = 4;

/** `etcd-backup operator`: runs until SIGTERM, then ends its runs in good order and returns. */
export async function operator(flags: OperatorFlags, context: Context): Promise<void> {
  const limit = count(flags.maxConcurrentBackups, "--max-concurrent-backups");
  if (limit < 1) throw new OperatorError("Usage", "--max-concurrent-backups must be at least 1");
  const log = createLog({ level: flags.logLevel, destination: context.stdout });
  const metrics = createMetrics();
  const { signal, now } = context;

  await using resources = new AsyncDisposableStack();
  const client = resources.use(
    await connect({
      ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
      env: context.env,
    }),
  );
  const starting = new Set(["custom resources"]);
  const health = resources.use(
    await serveHealth({ address: flags.listen, notReady: () => [...starting], registry: metrics.registry }),
  );
  const events = resources.use(
    createEventRecorder(client, { log, instance: context.env["POD_NAME"] ?? hostname() }),
  );
  log.info(
    {
      version: version(),
      server: client.server,
      port: health.port,
      namespaces: flags.watchNamespaces ?? "all",
    },
    "starting",
  );

  // The caches outlive the signal: runs that are being ended still want to be looked at.
  const watching = new AbortController();
  resources.defer(() => watching.abort());
  const backups = new KeyedQueue();
  const stores = new KeyedQueue();
  const backupCaches = caches(flags, (namespace) =>
    resources.use(startCache(client, backupKind, { ...namespace, log, signal: watching.signal })),
  );
  const storeCaches = caches(flags, (namespace) =>
    resources.use(startCache(client, storeKind, { ...namespace, log, signal: watching.signal })),
  );
  const wakeBackups = (which: (backup: EtcdBackup) => boolean) => {
    for (const backup of backupCaches.flatMap((cache) => cache.list()))
      if (which(backup)) backups.add(keyOf(backup.metadata));
  };
  for (const cache of backupCaches) cache.onChange((key) => backups.add(key));
  for (const cache of storeCaches) {
    cache.onChange((key, store) => {
      stores.add(key);
      wakeBackups(
        (b) =>
          b.spec.storeRef.name === store?.metadata.name &&
          b.metadata.namespace === store.metadata.namespace &&
          (!finished(b) || b.metadata.deletionTimestamp !== undefined),
      );
    });
  }

  const reader = connectionReader(client);
  const hostPaths = hostPathNamespaces(flags, context, client);
  const runs = new Runs<BackupReport, Manifest>({ limit, wake: (key) => backups.add(key) });
  metrics.running(() => runs.active);
  const openStoreOf = async (store: EtcdBackupStore, within: AbortSignal) =>
    openStore(await storeConfigFor(store, { reader, hostPaths, signal: within }), { env: context.env });
  const shared = { resources: backupResources(client), openStore: openStoreOf, events, now, log };
  const deps: BackupControllerDeps = {
    ...shared,
    runs,
    startRun: backupRunner({
      ...shared,
      streams: new Turns(),
      tool: { name: toolName, version: version() },
      openCluster: async (backup, within) =>
        openCluster(
          await endpointsFor(backup, reader, within),
          await etcdAccessFor(backup, { reader, hostPaths, signal: within }),
        ),
    }),
    ended(backup, manifest) {
      measure(metrics, backup, manifest, now());
      log.info(
        {
          backup: keyOf(backup.metadata),
          cluster: backup.spec.clusterName,
          result: manifest === undefined ? "failed" : "succeeded",
        },
        "backup ended",
      );
      stores.add(keyOf({ namespace: backup.metadata.namespace ?? "", name: backup.spec.storeRef.name }));
      wakeBackups((other) => !finished(other));
    },
  };
  const storeDeps = {
    resources: { store: deps.resources.store, writeStatus: storeStatusWriter(client) },
    openStore: openStoreOf,
    events,
    observe: ({ namespace, name }: { namespace: string; name: string }, ready: boolean | undefined) =>
      metrics.storeReady({ namespace, store: name }, ready),
    now,
    log,
  };

  await Promise.all([...backupCaches, ...storeCaches].map((cache) => cache.synced));
  starting.clear();
  log.info(
    {
      backups: backupCaches.flatMap((c) => c.list()).length,
      stores: storeCaches.flatMap((c) => c.list()).length,
    },
    "ready",
  );
  const run = (kind: string, queue: KeyedQueue, reconcile: Reconcile) =>
    queue.run({
      workers,
      process: worker({
        kind,
        queue,
        reconcile,
        log,
        observe: (result, seconds) => metrics.reconciled(kind, result, seconds),
      }),
      onError: (key, error) => log.error({ kind, key, err: error }, "worker failed"),
      signal,
    });
  await Promise.all([
    run("EtcdBackup", backups, backupReconciler(deps)),
    run("EtcdBackupStore", stores, storeReconciler(storeDeps)),
  ]);
  log.info({ running: runs.active }, "stopping");
  await runs.stopAll("the operator is stopping; it takes the backup up again when it is back");
  log.info({}, "stopped");
}

function namesOf(list: string | undefined): string[] {
  return (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** The operator's own namespace unless told otherwise. */
function hostPathNamespaces(flags: OperatorFlags, { env }: Context, client: KubeClient): HostPathNamespaces {
  const names = namesOf(flags.hostPathNamespaces);
  if (names.includes("*")) return "all";
  return new Set(names.length > 0 ? names : [env["POD_NAMESPACE"] ?? client.namespace]);
}

function caches<T>(
  { watchNamespaces }: OperatorFlags,
  start: (namespace: { namespace?: string }) => Cache<T>,
): Cache<T>[] {
  const names = namesOf(watchNamespaces);
  return names.length === 0 ? [start({})] : names.map((namespace) => start({ namespace }));
}

function finished(backup: EtcdBackup): boolean {
  return conditionStatus(backup.status.conditions, "Finished") === "True";
}

function connectionReader(client: KubeClient): ConnectionReader {
  return {
    secret: (namespace, name, signal) => readSecret(client, namespace, name, { signal }),
    podIPs: (namespace, labels, signal) => podIPs(client, namespace, labels, { signal }),
    serviceIPs: (namespace, name, signal) => serviceIPs(client, namespace, name, { signal }),
  };
}

function backupResources(client: KubeClient): BackupResources {
  return {
    backup: (request, signal) => client.get(backupKind, request, { signal }),
    store: (request, signal) => client.get(storeKind, request, { signal }),
    async writeStatus({ metadata }, status, signal) {
      await client.applyStatus(backupKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async writeFinalizers({ metadata }, finalizers, signal) {
      await client.patchMetadata(
        backupKind,
        refOf(metadata),
        { resourceVersion: metadata.resourceVersion, finalizers },
        { signal },
      );
    },
  };
}

function storeStatusWriter(client: KubeClient) {
  return async (
    { metadata }: EtcdBackupStore,
    status: EtcdBackupStore["status"],
    signal: AbortSignal,
  ): Promise<void> => {
    await client.applyStatus(storeKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
  };
}

function refOf({ namespace, name }: { namespace?: string; name: string }) {
  return namespace === undefined ? { name } : { namespace, name };
}

function measure(metrics: Metrics, backup: EtcdBackup, manifest: Manifest | undefined, now: Date): void {
  const labels = { namespace: backup.metadata.namespace ?? "", cluster: backup.spec.clusterName };
  if (manifest === undefined) {
    metrics.backupEnded(labels, { result: "failed", at: now });
    return;
  }
  const completedAt = new Date(manifest.run.completedAt);
  metrics.backupEnded(labels, {
    result: "succeeded",
    completedAt,
    durationSeconds: (completedAt.getTime() - Date.parse(manifest.run.startedAt)) / 1000,
    sizeBytes: manifest.snapshot.totalSizeBytes,
    storedBytes: manifest.stored.bytes,
    revision: manifest.snapshot.revision,
  });
}
