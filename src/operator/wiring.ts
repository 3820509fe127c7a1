import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { Admission } from "../controllers/admission.ts";
import { AgreementCache } from "../controllers/agreement-cache.ts";
import { type AttemptDeps, type AttemptWork, runAttempt } from "../controllers/backup/attempt.ts";
import type { BackupControllerDeps, BackupMetrics } from "../controllers/backup/context.ts";
import type { EventSink } from "../controllers/events.ts";
import { InProcessRunner } from "../controllers/in-process-runner.ts";
import { KeyedMutex } from "../controllers/keyed-mutex.ts";
import type { Log } from "../core/log.ts";
import type { RestoreControllerDeps, RestoreWork, RestoreWorkDeps } from "../controllers/restore/context.ts";
import { performStep } from "../controllers/restore/work.ts";
import type { ScheduleControllerDeps } from "../controllers/schedule/context.ts";
import { Catalogs } from "../controllers/store/catalogs.ts";
import { StoreHolds } from "../controllers/store/holds.ts";
import type { StoreControllerDeps } from "../controllers/store/reconcile.ts";
import type { VerificationControllerDeps } from "../controllers/verification/context.ts";
import { VerificationReports } from "../controllers/verification/reports.ts";
import { RunningVerifications } from "../controllers/verification/running.ts";
import type { BackupReport, StoredBackup } from "../core/backup/observed.ts";
import { turnStateOf } from "../core/backup/turn.ts";
import type { Holder } from "../core/store/hold.ts";
import type { KnownWriters } from "../core/store/writer.ts";
import type { RestoreReport, RestoreResult } from "../core/restore/observed.ts";
import { connectionTo } from "../core/restore/names.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Fence } from "../kube/leader/fence.ts";
import { withCallDeadline } from "../store/decorators/deadline.ts";
import { factsOf } from "../store/kinds.ts";
import { openStore } from "../store/open.ts";
import { connectionReader } from "./connection-reader.ts";
import { type ClusterConnection, openClusterOf } from "./etcd-connection.ts";
import type { Permissions } from "./permissions.ts";
import { kubernetesClusterOf } from "./kubernetes-cluster.ts";
import { operatorResources } from "./resources.ts";
import { jobStore, storeSettings } from "./store-settings.ts";

/**
 * Milliseconds that a store may stay silent in a pass of a controller, since the pass occupies a worker. A run has a
 * deadline of its own.
 */
const storeCallMs = 30_000;

/** The parts from which the controllers' dependencies are built. */
export interface Parts {
  client: KubeClient;
  fence: Fence;
  events: EventSink;
  metrics: BackupMetrics;
  admissions: { backups: Admission; restores: Admission };
  /** Called with the key of a run that has ended, or whose report has changed. */
  wake: { backups: (key: string) => void; restores: (key: string) => void; stores: (key: string) => void };
  backupsNeeding: StoreControllerDeps["backupsNeeding"];
  childrenOf: ScheduleControllerDeps["childrenOf"];
  restores: ScheduleControllerDeps["restores"];
  known: StoreControllerDeps["known"];
  writers: KnownWriters;
  /** This operator, as operators with other Leases see it. */
  holder: Holder;
  /** Name and version of this program, for manifests. */
  tool: { name: string; version: string };
  /** Image of this program, for the Jobs of a restore. */
  image: string | undefined;
  permissions: Permissions;
  env: Readonly<Record<string, string | undefined>>;
  now: () => Date;
  log: Log;
}

/** The work under way, for the end of a term. */
interface Runners {
  backups: InProcessRunner<AttemptWork, BackupReport, StoredBackup>;
  restores: InProcessRunner<RestoreWork, RestoreReport, RestoreResult>;
}

interface ControllerDeps {
  backup: BackupControllerDeps;
  store: StoreControllerDeps;
  restore: RestoreControllerDeps;
  schedule: ScheduleControllerDeps;
  verification: VerificationControllerDeps;
  runners: Runners;
}

/** Builds the dependencies of each controller. No other place gives a controller its adapters. */
export function controllerDeps(parts: Parts): ControllerDeps {
  const { client, fence, events, metrics, tool, image, admissions, now, log } = parts;
  const resources = operatorResources(client, fence);
  const { openStoreOf, jobStoreOf, openStoreInPass, openClusterFor } = openersOf(parts);
  const clock = () => performance.now();
  const holds = new StoreHolds({ holder: parts.holder, resources, events, now, clock, log });
  const shared = {
    resources,
    openStore: openStoreOf,
    factsOf,
    guards: new KeyedMutex(),
    writers: parts.writers,
    catalogs: new Catalogs(now),
    holds,
    events,
    now,
    log,
  };
  const kubernetesCluster = kubernetesClusterOf(client, clock);
  const runners = runnersOf(parts, {
    ...shared,
    openCluster: openClusterFor,
    streams: new KeyedMutex(),
    agreements: new AgreementCache(),
    tool,
    kubernetesCluster,
    operatorImage: image,
    openRestored: (restore, signal) =>
      openClusterFor({ metadata: restore.metadata, spec: { etcd: connectionTo(restore) } }, signal),
  });
  const inPass = { ...shared, openStore: openStoreInPass };
  const { childrenOf, restores } = parts;
  return {
    runners,
    ...controllersOfStores(parts, inPass),
    schedule: { ...inPass, kubernetesCluster, childrenOf, restores },
    backup: { ...inPass, admission: admissions.backups, runs: runners.backups, metrics },
    restore: {
      ...shared,
      admission: admissions.restores,
      runs: runners.restores,
      operatorImage: image,
      jobStore: jobStoreOf,
    },
  };
}

/** The controller of verifications writes the reports, and that of stores puts them into status. */
function controllersOfStores(
  { backupsNeeding, known, wake }: Parts,
  shared: Omit<
    StoreControllerDeps & VerificationControllerDeps,
    "backupsNeeding" | "known" | "wake" | "reports" | "running"
  >,
): { store: StoreControllerDeps; verification: VerificationControllerDeps } {
  const reports = new VerificationReports();
  return {
    store: { ...shared, backupsNeeding, known, reports },
    verification: { ...shared, known, wake, reports, running: new RunningVerifications() },
  };
}

function openersOf({ client, fence, permissions, env }: Parts) {
  const reader = connectionReader(client);
  const openStoreOf = async (store: EtcdBackupStore, signal: AbortSignal) =>
    openStore(await storeSettings(store, { reader, permissions, env, signal }), { env, fence });
  const jobStoreOf = (store: EtcdBackupStore, signal: AbortSignal) =>
    jobStore(store, { reader, permissions, env, signal });
  const openStoreInPass = async (store: EtcdBackupStore, signal: AbortSignal) =>
    withCallDeadline(await openStoreOf(store, signal), storeCallMs);
  const openClusterFor = (connection: ClusterConnection, signal: AbortSignal) =>
    openClusterOf(connection, { reader, permissions, signal });
  return { openStoreOf, jobStoreOf, openStoreInPass, openClusterFor };
}

function runnersOf({ admissions, wake }: Parts, deps: AttemptDeps & RestoreWorkDeps): Runners {
  return {
    backups: new InProcessRunner({
      slots: admissions.backups,
      wake: wake.backups,
      turnStateOf,
      firstReport: () => ({}),
      perform: (work, report, signal) => runAttempt(deps, work, report, signal),
    }),
    restores: new InProcessRunner({
      slots: admissions.restores,
      wake: wake.restores,
      firstReport: ({ step }) => ({ step }),
      perform: (work, report, signal) => performStep(deps, work, report, signal),
    }),
  };
}
