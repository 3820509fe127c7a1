import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { backupReconciler } from "../controllers/backup/reconcile.ts";
import type { BackupControllerDeps } from "../controllers/backup/context.ts";
import { type BackupReport, type BackupResult, backupRunner } from "../controllers/backup/attempt.ts";
import {
  type Connecting,
  type HostPathNamespaces,
  endpointsFor,
  etcdAccessFor,
  storeConfigFor,
} from "./connection.ts";
import { type Log, type Reconcile, keyOf, requestOf, worker } from "../controllers/reconciler.ts";
import { restoreReconciler } from "../controllers/restore/reconcile.ts";
import type { RestoreControllerDeps } from "../controllers/restore/context.ts";
import type { RestoreReport, RestoreResult } from "../controllers/restore/work.ts";
import { Runs } from "../controllers/run-registry.ts";
import { type StoreControllerDeps, storeReconciler } from "../controllers/store/reconcile.ts";
import { Turns } from "../controllers/keyed-mutex.ts";
import { interrupted } from "../core/backup/status.ts";
import { conditionStatus } from "../core/conditions.ts";
import { connectionTo } from "../core/restore/names.ts";
import { openCluster } from "../etcd/cluster.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Fence } from "../kube/leader/fence.ts";
import { KeyedQueue } from "../kube/queue.ts";
import { freshToken, restoreArguments } from "../restore/tool.ts";
import { openStore } from "../store/open.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Context } from "../cli/context.ts";
import { fencedResources, fencedStore } from "../store/decorators/fenced.ts";
import { type WatchedResources, connectionReader, operatorResources } from "./resources.ts";
import { toolName, version } from "../cli/version.ts";

/** Passes of one controller that may run at a time; runs themselves are bounded apart. */
const workers = 4;
/** For handing interrupted backups back when the operator stops. */
const handBackMs = 5_000;

/** What outlives a term. */
export interface Working {
  client: KubeClient;
  context: Context;
  log: Log;
  events: BackupControllerDeps["events"];
  /** Backups that may run at once. */
  limit: number;
  /** Image of this program, for the Jobs of a restore. */
  image: string | undefined;
  hostPaths: HostPathNamespaces;
  metrics: Metrics;
  watched: WatchedResources;
}

interface Queues {
  backups: KeyedQueue;
  stores: KeyedQueue;
  restores: KeyedQueue;
}

/** Backups are bounded by a flag; restores are rare, and each reads a backup whole. */
const restoresAtOnce = 2;

/** Runs the controllers over everything that is watched, until the process is to stop or the fence closes. */
export async function work(fence: Fence, working: Working): Promise<void> {
  const { context, log, limit, metrics, watched } = working;
  const signal = AbortSignal.any([context.signal, fence.signal]);
  const queues = { backups: new KeyedQueue(), stores: new KeyedQueue(), restores: new KeyedQueue() };
  const runs = new Runs<BackupReport, BackupResult>({ limit, wake: (key) => queues.backups.add(key) });
  const restoring = new Runs<RestoreReport, RestoreResult>({
    limit: restoresAtOnce,
    wake: (key) => queues.restores.add(key),
  });
  metrics.running(() => runs.active);
  const deps = controllerDeps({ ...working, fence, runs, restoring, queues });
  wake(watched, queues, signal);
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
    run("EtcdRestore", queues.restores, restoreReconciler(deps.restore)),
  ]);
  // What a restore had begun is observed by the next operator, and begun again where it has to be.
  const ending = restoring.stopAll("the operator is stopping");
  log.info({ running: runs.active }, "stopping");
  if (fence.signal.aborted) {
    await runs.stopAll("this operator no longer leads; the backup is taken up again by the one that does");
    await ending;
    return;
  }
  const given = await runs.stopAll("the operator is stopping; the backup is taken up again when it is back");
  await ending;
  await handBack(deps.backup, given);
}

/** Everything the controllers work with. */
function controllerDeps(
  parts: Working & {
    fence: Fence;
    runs: Runs<BackupReport, BackupResult>;
    restoring: Runs<RestoreReport, RestoreResult>;
    queues: Queues;
  },
): { backup: BackupControllerDeps; store: StoreControllerDeps; restore: RestoreControllerDeps } {
  const { client, context, fence, log, events, runs, hostPaths, metrics, queues, watched } = parts;
  const { env, now } = context;
  const reader = connectionReader(client);
  const resources = fencedResources(operatorResources(client), fence);
  const openStoreOf = async (store: EtcdBackupStore, signal: AbortSignal) =>
    fencedStore(await openStore(await storeConfigFor(store, { reader, hostPaths, signal }), { env }), fence);
  const openClusterOf = async (backup: Connecting, signal: AbortSignal) =>
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
    store: { ...shared, resources: { store: resources.store, writeStatus: resources.writeStoreStatus } },
    restore: {
      ...shared,
      resources,
      runs: parts.restoring,
      operatorImage: parts.image,
      openRestored: ({ metadata, ...restore }, signal) =>
        openClusterOf({ metadata, spec: { etcd: connectionTo({ metadata, ...restore }) } }, signal),
      toolArguments:
        ({ spec }, token) =>
        (args) =>
          restoreArguments({ ...args, token, bump: spec.revisionBump }),
      freshToken,
    },
  };
}

function finished(backup: EtcdBackup): boolean {
  return conditionStatus(backup.status.conditions, "Finished") === "True";
}

/** Which change makes which controller look at which key: at first everything that is there. */
function wake(watched: WatchedResources, queues: Queues, until: AbortSignal): void {
  watched.onBackup((key) => queues.backups.add(key), until);
  watched.onRestore((key) => queues.restores.add(key), until);
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
  }, until);
}

/**
 * What was interrupted in good order does not count as an attempt: the next operator begins it at once. An attempt that
 * was reserved and never got into the status has nothing to give back.
 */
async function handBack(
  { resources, now, log }: BackupControllerDeps,
  given: readonly { key: string; attempt: number }[],
): Promise<void> {
  const signal = AbortSignal.timeout(handBackMs);
  await Promise.all(
    given.map(async ({ key, attempt }) => {
      try {
        const backup = await resources.backup(requestOf(key), signal);
        if (backup === undefined || finished(backup) || backup.status.attempts !== attempt) return;
        await resources.writeStatus(backup, interrupted(backup, { counts: false, now: now() }), signal);
      } catch (error) {
        log.warn({ backup: key, err: error }, "the interrupted attempt stays counted");
      }
    }),
  );
}
