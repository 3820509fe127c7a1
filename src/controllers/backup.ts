import type { EtcdBackup, EtcdBackupStatus } from "../api/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/etcd-backup-store.ts";
import {
  type BackupDecision,
  afterFailure,
  decide,
  finalizer,
  reasonOf,
  runPrefix,
  withHint,
} from "../core/backup.ts";
import {
  changed,
  deletionBlocked,
  failed,
  initialised,
  memberSelected,
  retrying,
  started,
  streaming,
  succeeded,
} from "../core/backup-status.ts";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { runIdOf } from "../core/backup.ts";
import { findBackupsOfRun, removeRun, sweepRun } from "../snapshot/runs-in-store.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import type { Store } from "../store/store.ts";
import type { BackupReport, StartBackupRun } from "./backup-run.ts";
import { type Log, type Reconcile, type Request, keyOf } from "./controller.ts";
import type { Runs } from "./runs.ts";

export interface BackupControllerDeps {
  resources: BackupResources;
  runs: Runs<BackupReport, Manifest>;
  startRun: StartBackupRun;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  events: EventSink;
  /** Called once for each EtcdBackup that has ended. */
  ended(backup: EtcdBackup, manifest: Manifest | undefined): void;
  now: () => Date;
  log: Log;
}

/** What the controller reads and writes in the API server. */
export interface BackupResources {
  backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  writeStatus(backup: EtcdBackup, status: EtcdBackupStatus, signal: AbortSignal): Promise<void>;
  writeFinalizers(backup: EtcdBackup, finalizers: string[], signal: AbortSignal): Promise<void>;
}

export interface EventSink {
  record(event: {
    regarding: EtcdBackup | EtcdBackupStore;
    type: "Normal" | "Warning";
    reason: string;
    action: string;
    note: string;
  }): void;
}

/** Progress in status is for people: no more often than this. */
const progressEveryMs = 5_000;

/** observe → decide → act for EtcdBackup. */
export function backupReconciler(deps: BackupControllerDeps): Reconcile {
  return async (request, signal) => {
    const backup = await deps.resources.backup(request, signal);
    if (backup === undefined) {
      await deps.runs.cancel(keyOf(request), "the EtcdBackup was deleted");
      return undefined;
    }
    const store = await deps.resources.store(
      { namespace: request.namespace, name: backup.spec.storeRef.name },
      signal,
    );
    const run = deps.runs.view(keyOf(request), backup.metadata.uid);
    const decision = decide(
      {
        backup,
        store: store === undefined ? "missing" : store.spec.accessMode === "ReadOnly" ? "readOnly" : "found",
        run: run.state,
        ...(run.state === "failed" ? { failure: run.error } : {}),
        freeSlots: deps.runs.freeSlots,
      },
      deps.now(),
    );
    deps.log.debug({ backup: keyOf(request), decision: decision.do }, "decided");
    return act({ ...deps, backup, store, key: keyOf(request), signal }, decision);
  };
}

interface Pass extends BackupControllerDeps {
  backup: EtcdBackup;
  store: EtcdBackupStore | undefined;
  key: string;
  signal: AbortSignal;
}

type Again = { againAfterMs: number } | undefined;

async function act(pass: Pass, decision: BackupDecision): Promise<Again> {
  const { backup, runs, resources, key, signal, now } = pass;
  const finalizers = backup.metadata.finalizers ?? [];
  switch (decision.do) {
    case "nothing":
      runs.forget(key);
      return undefined;
    case "initialise":
      return write(pass, initialised(backup, now()), { againAfterMs: 0 });
    case "addFinalizer":
      await resources.writeFinalizers(backup, [...finalizers, finalizer], signal);
      return { againAfterMs: 0 };
    case "removeFinalizer":
      await resources.writeFinalizers(
        backup,
        finalizers.filter((f) => f !== finalizer),
        signal,
      );
      return undefined;
    case "removeObjects":
      return removeObjects(pass);
    case "cancel":
      await runs.cancel(key, decision.why);
      return { againAfterMs: 0 };
    case "wait": {
      const { reason, message, ms } = decision;
      return write(pass, changed(backup, { outcome: "InProgress", reason, message }, now()), {
        againAfterMs: ms,
      });
    }
    case "recover":
      return recover(pass);
    case "start":
      return start(pass, decision.attempt);
    case "watch":
      return reportProgress(pass);
    case "succeed": {
      const run = runs.view(key, backup.metadata.uid);
      return run.state === "succeeded" ? recordSuccess(pass, run.result) : { againAfterMs: 0 };
    }
    case "retry":
    case "fail":
      return recordFailure(pass, decision);
    default:
      return decision satisfies never;
  }
}

/** Writes only what has changed. */
async function write(
  { resources, backup, signal }: Pass,
  status: EtcdBackupStatus,
  again: Again,
): Promise<Again> {
  if (JSON.stringify(status) !== JSON.stringify(backup.status))
    await resources.writeStatus(backup, status, signal);
  return again;
}

/** The attempt is in status before it begins: an operator that dies in it leaves a trace to take up. */
async function start(pass: Pass, attempt: number): Promise<Again> {
  const { backup, store, key, now } = pass;
  if (store === undefined) return { againAfterMs: 0 };
  const runId = runIdOf(backup.metadata.uid, attempt);
  const status = started(backup, { attempt, runId }, now());
  await write(pass, status, undefined);
  pass.events.record({
    regarding: backup,
    type: "Normal",
    reason: "SnapshotStarted",
    action: "Backup",
    note: `attempt ${attempt} of ${backup.spec.backoffLimit + 1}`,
  });
  pass.runs.start(
    { key, uid: backup.metadata.uid, report: {} },
    pass.startRun({ backup: { ...backup, status }, store, runId }),
  );
  return { againAfterMs: progressEveryMs };
}

async function reportProgress(pass: Pass): Promise<Again> {
  const { backup, now } = pass;
  const { state, ...run } = pass.runs.view(pass.key, backup.metadata.uid);
  if (state === "none" || !("report" in run)) return { againAfterMs: 0 };
  const { choice, progress } = run.report;
  let seen = backup;
  if (choice !== undefined && backup.status.member === undefined)
    seen = { ...seen, status: memberSelected(seen, choice, now()) };
  if (progress !== undefined && progress.bytes !== backup.status.progress?.bytes)
    seen = { ...seen, status: streaming(seen, progress, now()) };
  return write(pass, seen.status, { againAfterMs: progressEveryMs });
}

async function recordSuccess(pass: Pass, manifest: Manifest): Promise<Again> {
  const { backup, store, now } = pass;
  const status = succeeded(backup, manifest, await storeUrl(pass), now());
  await write(pass, status, undefined);
  pass.events.record({
    regarding: backup,
    type: "Normal",
    reason: "SnapshotSucceeded",
    action: "Backup",
    note: `revision ${manifest.snapshot.revision} stored as ${manifest.name} in EtcdBackupStore ${store?.metadata.name ?? backup.spec.storeRef.name}`,
  });
  pass.ended({ ...backup, status }, manifest);
  pass.runs.forget(pass.key);
  return undefined;
}

async function storeUrl({ openStore, store, signal }: Pass): Promise<string> {
  if (store === undefined)
    throw new OperatorError("NotFound", "the EtcdBackupStore is gone", { permanent: false });
  await using opened = await openStore(store, signal);
  return opened.url;
}

async function recordFailure(
  pass: Pass,
  decision: BackupDecision & { do: "retry" | "fail" },
): Promise<Again> {
  const { backup, now } = pass;
  const run = pass.runs.view(pass.key, backup.metadata.uid);
  const error = decision.do === "retry" ? decision.error : run.state === "failed" ? run.error : undefined;
  // The member is worth knowing after a failure, too.
  const choice = run.state === "failed" ? run.report.choice : undefined;
  const seen = choice === undefined ? backup : { ...backup, status: memberSelected(backup, choice, now()) };
  const status = decision.do === "retry" ? retrying(seen, decision, now()) : failed(seen, decision, now());
  await write(pass, status, undefined);
  const reason =
    error === undefined ? (decision.do === "fail" ? decision.reason : "Retrying") : reasonOf(error);
  const note = decision.do === "fail" ? decision.message : withHint(decision.error);
  pass.events.record({ regarding: backup, type: "Warning", reason, action: "Backup", note });
  pass.runs.forget(pass.key);
  if (decision.do === "retry") return { againAfterMs: Math.max(0, decision.at.getTime() - now().getTime()) };
  pass.ended({ ...backup, status }, undefined);
  return undefined;
}

/** An earlier operator began this attempt. What it finished is in the store; what it did not finish counts as failed. */
async function recover(pass: Pass): Promise<Again> {
  const { backup, store, signal } = pass;
  if (store === undefined) return { againAfterMs: 0 };
  await using opened = await pass.openStore(store, signal);
  const { clusterName } = backup.spec;
  const [finished] = await findBackupsOfRun(opened, {
    clusterName,
    runPrefix: runPrefix(backup.metadata.uid),
    uid: backup.metadata.uid,
    signal,
  });
  if (finished !== undefined) return recordSuccess(pass, finished);
  // The hour is for stores whose clock is ahead of ours: by its name the upload is this resource's anyway.
  const before = new Date(pass.now().getTime() + 3_600_000);
  await sweepRun(opened, { clusterName, runPrefix: runPrefix(backup.metadata.uid), before, signal }).catch(
    (error: unknown) => {
      pass.log.warn(
        { backup: pass.key, err: error },
        "the earlier attempt's unfinished upload cannot be looked for",
      );
    },
  );
  const error = new OperatorError("Aborted", "the operator stopped in the middle of the attempt");
  const next = afterFailure(backup, error, pass.now());
  if (next.do === "fail") return recordFailure(pass, next);
  pass.events.record({
    regarding: backup,
    type: "Warning",
    reason: "OperatorRestarted",
    action: "Backup",
    note: "the operator stopped in the middle of an attempt; starting again",
  });
  return start(pass, (backup.status.attempts ?? 0) + 1);
}

async function removeObjects(pass: Pass): Promise<Again> {
  const { backup, store, signal, now } = pass;
  try {
    if (store === undefined)
      throw new OperatorError("NotFound", `EtcdBackupStore ${backup.spec.storeRef.name} is gone`);
    if (store.spec.accessMode === "ReadOnly")
      throw new OperatorError("Refused", `EtcdBackupStore ${store.metadata.name} has accessMode ReadOnly`);
    await using opened = await pass.openStore(store, signal);
    await removeRun(opened, {
      clusterName: backup.spec.clusterName,
      runPrefix: runPrefix(backup.metadata.uid),
      signal,
    });
  } catch (thrown) {
    signal.throwIfAborted();
    const message = `the stored backup cannot be deleted: ${withHint(asOperatorError(thrown))}; annotate with etcdbackup.dev/force-delete to let it go without`;
    pass.events.record({
      regarding: backup,
      type: "Warning",
      reason: "DeletionBlocked",
      action: "Delete",
      note: message,
    });
    return write(pass, deletionBlocked(backup, message, now()), { againAfterMs: 60_000 });
  }
  const rest = (backup.metadata.finalizers ?? []).filter((f) => f !== finalizer);
  await pass.resources.writeFinalizers(backup, rest, signal);
  return undefined;
}
