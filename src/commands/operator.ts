import { once } from "node:events";
import { hostname } from "node:os";
import type { EtcdBackup } from "../api/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/etcd-backup-store.ts";
import { backupReconciler } from "../controllers/backup.ts";
import type { BackupControllerDeps } from "../controllers/backup-pass.ts";
import { type BackupReport, type BackupResult, backupRunner } from "../controllers/backup-run.ts";
import {
  type HostPathNamespaces,
  endpointsFor,
  etcdAccessFor,
  storeConfigFor,
} from "../controllers/connection.ts";
import { type Log, type Reconcile, keyOf, requestOf, worker } from "../controllers/controller.ts";
import { Runs } from "../controllers/runs.ts";
import { type StoreControllerDeps, storeReconciler } from "../controllers/store.ts";
import { Turns } from "../controllers/turns.ts";
import { interrupted } from "../core/backup-status.ts";
import { conditionStatus } from "../core/conditions.ts";
import { OperatorError } from "../core/errors.ts";
import { openCluster } from "../etcd/cluster.ts";
import { type KubeClient, connect } from "../kube/client.ts";
import { createEventRecorder } from "../kube/events.ts";
import { KeyedQueue } from "../kube/queue.ts";
import { openStore } from "../store/open-store.ts";
import { serveHealth } from "../telemetry/health.ts";
import { createLog } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { Context, GlobalFlags } from "./context.ts";
import { count } from "./flags.ts";
import { clusterGauges } from "./operator-metrics.ts";
import {
  type WatchedResources,
  connectionReader,
  operatorResources,
  watchResources,
} from "./operator-resources.ts";
import { toolName, version } from "./version.ts";

export interface OperatorFlags extends GlobalFlags {
  kubeconfig?: string;
  watchNamespaces?: string;
  maxConcurrentBackups: string;
  listen: string;
  hostPathNamespaces?: string;
}

/** Passes of one controller that may run at a time; runs themselves are bounded apart. */
const workers = 4;
/** For handing interrupted backups back when the operator stops. */
const handBackMs = 5_000;

/** `etcd-backup operator`: runs until SIGTERM, then ends its runs in good order and returns. */
export async function operator(flags: OperatorFlags, context: Context): Promise<void> {
  const limit = count(flags.maxConcurrentBackups, "--max-concurrent-backups");
  if (limit < 1) throw new OperatorError("Usage", "--max-concurrent-backups must be at least 1");
  const { signal, env } = context;
  const log = createLog({ level: flags.logLevel, destination: context.stdout });
  const metrics = createMetrics();
  const namespaces = namesOf(flags.watchNamespaces);

  await using stack = new AsyncDisposableStack();
  const { kubeconfig } = flags;
  const client = stack.use(await connect({ ...(kubeconfig === undefined ? {} : { kubeconfig }), env }));
  const starting = new Set(["custom resources"]);
  const health = stack.use(
    await serveHealth({ address: flags.listen, notReady: () => [...starting], registry: metrics.registry }),
  );
  const { server } = client;
  log.info(
    { version: version(), server, port: health.port, namespaces: flags.watchNamespaces ?? "all" },
    "starting",
  );
  const events = stack.use(createEventRecorder(client, { log, instance: env["POD_NAME"] ?? hostname() }));

  const watching = new AbortController();
  stack.defer(() => watching.abort());
  const watched = watchResources(client, { namespaces, log, signal: watching.signal, stack });
  const queues = { backups: new KeyedQueue(), stores: new KeyedQueue() };
  const runs = new Runs<BackupReport, BackupResult>({ limit, wake: (key) => queues.backups.add(key) });
  metrics.running(() => runs.active);
  const hostPaths = hostPathNamespaces(flags, context, client);
  const deps = controllerDeps({ client, context, log, events, runs, hostPaths, metrics, queues, watched });
  wake({ watched, queues, gauges: clusterGauges(metrics, watched.backups) });

  await Promise.race([watched.synced, firing(signal)]);
  if (signal.aborted) {
    log.info({ waitingFor: [...starting] }, "stopped");
    return;
  }
  starting.clear();
  log.info({ backups: watched.backups().length, stores: watched.stores().length }, "ready");
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
    run("EtcdBackup", queues.backups, backupReconciler(deps.backup)),
    run("EtcdBackupStore", queues.stores, storeReconciler(deps.store)),
  ]);
  log.info({ running: runs.active }, "stopping");
  await handBack(
    deps.backup,
    await runs.stopAll("the operator is stopping; the backup is taken up again when it is back"),
  );
  log.info({}, "stopped");
}

async function firing(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

function namesOf(list: string | undefined): string[] {
  return (list ?? "").split(",").flatMap((name) => name.trim() || []);
}

/** The operator's own namespace unless told otherwise. */
function hostPathNamespaces(flags: OperatorFlags, { env }: Context, client: KubeClient): HostPathNamespaces {
  const names = namesOf(flags.hostPathNamespaces);
  if (names.includes("*")) return "all";
  return new Set(names.length > 0 ? names : [env["POD_NAMESPACE"] ?? client.namespace]);
}

interface Parts {
  client: KubeClient;
  context: Context;
  log: Log;
  events: BackupControllerDeps["events"];
  runs: Runs<BackupReport, BackupResult>;
  hostPaths: HostPathNamespaces;
  metrics: ReturnType<typeof createMetrics>;
  queues: { backups: KeyedQueue; stores: KeyedQueue };
  watched: WatchedResources;
}

/** Everything the two controllers work with. */
function controllerDeps(parts: Parts): { backup: BackupControllerDeps; store: StoreControllerDeps } {
  const { client, context, log, events, runs, hostPaths, metrics, queues, watched } = parts;
  const { env, now } = context;
  const reader = connectionReader(client);
  const resources = operatorResources(client);
  const openStoreOf = async (store: EtcdBackupStore, signal: AbortSignal) =>
    openStore(await storeConfigFor(store, { reader, hostPaths, signal }), { env });
  const openClusterOf = async (backup: EtcdBackup, signal: AbortSignal) =>
    openCluster(
      await endpointsFor(backup, reader, signal),
      await etcdAccessFor(backup, { reader, hostPaths, signal }),
    );
  const shared = { openStore: openStoreOf, events, now, log };
  const tool = { name: toolName, version: version() };
  return {
    backup: {
      ...shared,
      resources,
      runs,
      startRun: backupRunner({ ...shared, openCluster: openClusterOf, streams: new Turns(), tool }),
      ended({ metadata, spec }, manifest) {
        const result = manifest === undefined ? "failed" : "succeeded";
        const { namespace = "" } = metadata;
        metrics.backupEnded({ namespace, cluster: spec.clusterName }, result);
        log.info({ backup: keyOf(metadata), cluster: spec.clusterName, result }, "backup ended");
        queues.stores.add(keyOf({ namespace, name: spec.storeRef.name }));
        for (const other of watched.backups())
          if (!finished(other)) queues.backups.add(keyOf(other.metadata));
      },
    },
    store: {
      ...shared,
      resources: { store: resources.store, writeStatus: resources.writeStoreStatus },
      observe: ({ namespace, name }, ready) => metrics.storeReady({ namespace, store: name }, ready),
    },
  };
}

function finished(backup: EtcdBackup): boolean {
  return conditionStatus(backup.status.conditions, "Finished") === "True";
}

/** Which change makes which controller look at which key. */
function wake({
  watched,
  queues,
  gauges,
}: Pick<Parts, "watched" | "queues"> & { gauges: (changed: EtcdBackup) => void }): void {
  const lastSeen = new Map<string, EtcdBackup>();
  watched.onBackup((key, backup) => {
    queues.backups.add(key);
    const changed = backup ?? lastSeen.get(key);
    if (changed !== undefined) gauges(changed);
    if (backup === undefined) lastSeen.delete(key);
    else lastSeen.set(key, backup);
  });
  const specs = new Map<string, string>();
  watched.onStore((key, store) => {
    const seen = `${store?.metadata.uid} ${store?.metadata.generation} ${store?.metadata.deletionTimestamp}`;
    // A status that the controller wrote itself must not make it probe again.
    if (specs.get(key) === seen) return;
    specs.set(key, seen);
    queues.stores.add(key);
    const { namespace, name } = requestOf(key);
    for (const { metadata, spec, ...backup } of watched.backups()) {
      const waits = metadata.deletionTimestamp !== undefined || !finished({ ...backup, metadata, spec });
      if (waits && spec.storeRef.name === name && metadata.namespace === namespace)
        queues.backups.add(keyOf(metadata));
    }
  });
}

/** What was interrupted in good order does not count as an attempt: the next operator begins it at once. */
async function handBack(
  { resources, now, log }: BackupControllerDeps,
  keys: readonly string[],
): Promise<void> {
  const signal = AbortSignal.timeout(handBackMs);
  await Promise.all(
    keys.map(async (key) => {
      try {
        const backup = await resources.backup(requestOf(key), signal);
        if (backup === undefined || finished(backup) || (backup.status.attempts ?? 0) === 0) return;
        await resources.writeStatus(backup, interrupted(backup, { counts: false, now: now() }), signal);
      } catch (error) {
        log.warn({ backup: key, err: error }, "the interrupted attempt stays counted");
      }
    }),
  );
}
