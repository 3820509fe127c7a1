import { Admission } from "../controllers/admission.ts";
import { backupReconciler } from "../controllers/backup/reconcile.ts";
import { type Reconcile, keyOf, reconciler, requestOf } from "../controllers/reconciler.ts";
import { restoreReconciler } from "../controllers/restore/reconcile.ts";
import { scheduleReconciler } from "../controllers/schedule/reconcile.ts";
import { storeReconciler } from "../controllers/store/reconcile.ts";
import { verificationReconciler } from "../controllers/verification/reconcile.ts";
import { KnownBackups } from "../core/store/known-backups.ts";
import type { Fence } from "../kube/leader/fence.ts";
import { KeyedQueue, type RunOptions } from "../kube/queue.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { handBack } from "./hand-back.ts";
import type { Informers } from "./informers.ts";
import { followSeveralNamespaces } from "./tenants.ts";
import { ChildrenBySchedule, followClockJumps, wakeSchedules } from "./schedule-wake-ups.ts";
import { wakeVerifications } from "./verification-wake-ups.ts";
import { type Queues, backupsThatNeedStores, probeAfterEndMs, wakeControllers } from "./wake-ups.ts";
import { type Parts, controllerDeps } from "./wiring.ts";

/**
 * Concurrent passes of one controller, and of these the passes over the objects of one namespace. The runs have limits
 * of their own. A pass that waits for a silent store lasts until its deadline. After `slowMs` it occupies no worker, only
 * one of its namespace, so the stores of no number of namespaces can keep the others from the workers. A busy moment,
 * such as a start with thousands of objects, still has 12 passes at a time.
 */
export const passLimits = { workers: 12, workersPerGroup: 4, slowMs: 2_000 };
/** Backups that are verified at once, and of these the ones of one namespace. A store has one at most. */
const verificationLimits = { workers: 4, workersPerGroup: 2 };
/** Concurrent runs of EtcdRestores. Restores are rare, and each reads a whole backup. */
const restoresAtOnce = 2;

/** The parts that outlive a term of leadership. */
export interface TermOptions
  extends Omit<
    Parts,
    "fence" | "metrics" | "admissions" | "wake" | "backupsNeeding" | "childrenOf" | "restores" | "known"
  > {
  informers: Informers;
  metrics: Metrics;
  /** Backups that may run at once. */
  maxConcurrentBackups: number;
  /** Fires when the process is to stop. */
  signal: AbortSignal;
}

/** A queue in which the namespaces take turns. */
export function fairQueue(): KeyedQueue {
  return new KeyedQueue({ groupOf: (key) => requestOf(key).namespace });
}

/** Runs the controllers until the process is to stop or the fence closes, then ends their runs. */
export async function runTerm(fence: Fence, options: TermOptions): Promise<void> {
  const { log, metrics, informers } = options;
  const signal = AbortSignal.any([options.signal, fence.signal]);
  const queues = {
    backups: fairQueue(),
    stores: fairQueue(),
    restores: fairQueue(),
    schedules: fairQueue(),
    verifications: fairQueue(),
  };
  const wake = {
    backups: (key: string) => queues.backups.add(key),
    restores: (key: string) => queues.restores.add(key),
    stores: (key: string) => queues.stores.addAfter(key, probeAfterEndMs),
  };
  const admissions = {
    backups: new Admission({ limit: options.maxConcurrentBackups, wake: wake.backups }),
    restores: new Admission({ limit: restoresAtOnce, wake: wake.restores }),
  };
  followSeveralNamespaces(informers.stores, (areSeveral) => admissions.backups.share(areSeveral), signal);
  metrics.running(() => admissions.backups.active);
  const guarding = backupsThatNeedStores();
  const backupsNeeding = (store: string) => guarding.of(store).size;
  const children = new ChildrenBySchedule();
  const childrenOf = (schedule: string) => children.of(schedule);
  const restores = () => informers.restores.list();
  const known = new KnownBackups();
  informers.backups.onChange((key, backup) => known.set(key, backup), signal);
  const indexes = { backupsNeeding, childrenOf, restores, known };
  const deps = controllerDeps({ ...options, ...indexes, fence, admissions, wake });
  const { runners } = deps;
  metrics.foreignStores(() => deps.store.holds.foreignStores);
  wakeControllers(informers, queues, { hasRun: (key) => runners.backups.has(key), guarding }, signal);
  wakeSchedules(informers, queues.schedules, children, signal);
  wakeVerifications(informers, queues.verifications, deps.verification.running, signal);
  const wakeAll = () => {
    informers.schedules.list().forEach(({ metadata }) => queues.schedules.add(keyOf(metadata)));
    for (const { metadata, spec } of informers.stores.list())
      if (spec.verify !== undefined) queues.verifications.add(keyOf(metadata));
  };
  followClockJumps({ now: options.now, onJump: wakeAll }, signal);
  await runControllers(deps, queues, { log, metrics, signal });
  metrics.foreignStores(() => 0);
  log.info({ running: admissions.backups.active }, "stopping");
  await stopRuns(deps, fence);
}

type Deps = ReturnType<typeof controllerDeps>;
type Limits = Pick<RunOptions, "workers" | "workersPerGroup" | "slowMs">;

/** Runs the controllers until the signal fires. */
async function runControllers(
  deps: Deps,
  queues: Queues & { schedules: KeyedQueue; verifications: KeyedQueue },
  { log, metrics, signal }: Pick<TermOptions, "log" | "metrics" | "signal">,
): Promise<void> {
  const run = (kind: string, queue: KeyedQueue, reconcile: Reconcile, limits: Limits = passLimits) =>
    queue.run({
      ...limits,
      process: reconciler({
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
    run("EtcdBackupSchedule", queues.schedules, scheduleReconciler(deps.schedule)),
    run("Verification", queues.verifications, verificationReconciler(deps.verification), verificationLimits),
  ]);
}

/** Ends the runs. An operator that stops in order takes their attempts out of the count. */
async function stopRuns({ runners, backup }: Deps, fence: Fence): Promise<void> {
  // The next operator observes how far a restore got, and repeats the step that was stopped.
  const restoresStopped = runners.restores.stopAll("the operator is stopping");
  const isDeposed = fence.signal.aborted;
  const interrupted = await runners.backups.stopAll(
    isDeposed
      ? "this operator no longer leads; the next leader starts the backup again"
      : "the operator is stopping; the next operator starts the backup again",
  );
  await restoresStopped;
  if (!isDeposed) await handBack(backup, interrupted);
}
