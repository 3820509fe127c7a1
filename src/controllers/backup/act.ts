import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { BackupDecision } from "../../core/backup/decide.ts";
import type { LookAgain } from "../../core/backup/import.ts";
import { type Fail, type Retry, type Wait, reasonOf } from "../../core/backup/failure.ts";
import type { BackupReport, ObservedBackup, StoredBackup } from "../../core/backup/observed.ts";
import { runIdOf } from "../../core/backup/run-id.ts";
import {
  deleting,
  failed,
  imported,
  initialized,
  interrupted,
  lookingAgain,
  memberSelected,
  restamped,
  retrying,
  started,
  streaming,
  succeeded,
  waiting,
} from "../../core/backup/status.ts";
import { OperatorError, withHint } from "../../core/errors.ts";
import type { Result } from "../reconciler.ts";
import { type BackupContext, writeStatus } from "./context.ts";
import { deleteStored, removeFinalizer } from "./delete.ts";
import { addFinalizer, guardStore } from "./guard.ts";
import { recordVerification } from "./verification.ts";

/** Milliseconds until the next pass over a running backup, even when it reports nothing. */
const progressEveryMs = 5_000;

/** Carries out one decision. */
export async function actOnBackup(
  context: BackupContext,
  observed: ObservedBackup,
  decision: BackupDecision,
): Promise<Result> {
  const { backup, admission, runs, key, turn, now } = context;
  if (decision.do === "wait" && decision.forSlot === true)
    admission.waitInLine(key, { place: observed.place, turn });
  else if (decision.do !== "start") admission.leaveLine(key);
  switch (decision.do) {
    case "nothing":
      await runs.forget(key);
      await recordVerification(context);
      return undefined;
    case "restamp":
      return writeAndGoOn(context, restamped(backup));
    case "initialize":
      return writeAndGoOn(context, initialized(backup, now()));
    case "addFinalizer":
      return addFinalizer(context);
    case "guardStore":
      return guardStore(context);
    case "removeFinalizer":
      return removeFinalizer(context);
    case "recordDeleting":
      return writeAndGoOn(context, deleting(backup, now()));
    case "deleteStored":
      return deleteStored(context);
    case "cancel":
      await runs.cancel(key, decision.why);
      return { againAfterMs: 0 };
    case "wait":
      return wait(context, decision);
    case "lookUpStored":
    case "lookUpImported":
    case "lookAtFolder":
      throw new OperatorError("Internal", "this pass has already asked the store");
    case "takeUpAgain":
      return takeUpAgain(context);
    case "start":
      return start(context, decision);
    case "reportProgress":
      return observed.run.state === "running" ? reportProgress(context, observed.run.report) : undefined;
    case "succeed":
      return recordSuccess(context, decision.stored);
    case "recordImported":
      return recordImported(context, decision.stored);
    case "lookAgain":
      return lookAgain(context, decision);
    case "retry":
    case "fail":
      return recordFailure(context, observed, decision);
    default:
      return decision satisfies never;
  }
}

async function writeAndGoOn(context: BackupContext, status: EtcdBackupStatus): Promise<Result> {
  await writeStatus(context, status);
  return { againAfterMs: 0 };
}

async function wait(context: BackupContext, decision: Wait): Promise<Result> {
  const { backup, now, events } = context;
  if (decision.warn) events.warning(decision.reason, decision.message);
  await writeStatus(context, waiting(backup, decision, now()));
  return { againAfterMs: decision.ms };
}

async function takeUpAgain(context: BackupContext): Promise<Result> {
  const { backup, now, events } = context;
  const note = "the operator stopped in the middle of an attempt; the backup starts again at once";
  events.warning("OperatorRestarted", note);
  await writeStatus(context, interrupted(backup, { counts: true, now: now() }));
  return { againAfterMs: 0 };
}

/** Writes the attempt to status before it begins, so that the next operator finds it when this one dies. */
async function start(
  context: BackupContext,
  { attempt, etcd }: BackupDecision & { do: "start" },
): Promise<Result> {
  const { backup, store, key, turn, now, runs } = context;
  const { uid } = backup.metadata;
  const storeURL = store === undefined ? undefined : await locationOf(context, store);
  if (store === undefined || !runs.reserve(key, { uid, attempt, turn }))
    return { againAfterMs: progressEveryMs };
  const runId = runIdOf(uid, attempt);
  const status = started(backup, { attempt, runId, storeURL }, now());
  // When the write fails, its outcome is unknown. The attempt stays reserved, and the next pass begins it.
  await writeStatus(context, status);
  context.events.normal("SnapshotStarted", `attempt ${attempt} of ${backup.spec.backoffLimit + 1} starts`);
  await runs.start(key, { backup: { ...backup, status }, etcd, store, runId });
  return { againAfterMs: progressEveryMs };
}

/** Where the attempt stores. Undefined when the store cannot be opened, which the attempt reports: it stores nothing then. */
async function locationOf(
  { openStore, signal }: BackupContext,
  store: EtcdBackupStore,
): Promise<string | undefined> {
  try {
    await using opened = await openStore(store, signal);
    return opened.location;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

async function reportProgress(context: BackupContext, { choice, progress }: BackupReport): Promise<Result> {
  const { backup, now } = context;
  let next = backup;
  if (choice !== undefined && backup.status.member === undefined)
    next = { ...next, status: memberSelected(next, choice, now()) };
  if (progress !== undefined && progress.bytes !== backup.status.progress?.bytes)
    next = { ...next, status: streaming(next, progress, now()) };
  await writeStatus(context, next.status);
  return { againAfterMs: progressEveryMs };
}

async function recordSuccess(
  context: BackupContext,
  { manifest, storeUrl, storeLocation }: StoredBackup,
): Promise<Result> {
  const { backup, now } = context;
  const store = { url: storeUrl, location: storeLocation };
  await writeStatus(context, succeeded(backup, manifest, store, now()));
  const { revision } = manifest.snapshot;
  const where = `EtcdBackupStore ${backup.spec.storeRef.name}`;
  context.events.normal("SnapshotSucceeded", `${where} holds revision ${revision} as ${manifest.name}`);
  recordEnd(context, "succeeded");
  return undefined;
}

/** No backup was made, so the metrics count none. */
async function recordImported(
  context: BackupContext,
  { manifest, storeUrl, storeLocation }: StoredBackup,
): Promise<Result> {
  const { backup, key, log, now, events } = context;
  await writeStatus(context, imported(backup, manifest, { url: storeUrl, location: storeLocation }, now()));
  const { name, snapshot } = manifest;
  events.normal(
    "BackupImported",
    `EtcdBackupStore ${backup.spec.storeRef.name} holds revision ${snapshot.revision} as ${name}; no snapshot was made`,
  );
  log.info({ backup: key, cluster: backup.spec.clusterName, name }, "backup imported");
  return undefined;
}

async function lookAgain(context: BackupContext, decision: LookAgain): Promise<Result> {
  const { backup, events, now } = context;
  events.warning(decision.eventReason, decision.message);
  await writeStatus(context, lookingAgain(backup, decision, now()));
  return { againAfterMs: Math.max(0, decision.at.getTime() - now().getTime()) };
}

async function recordFailure(
  context: BackupContext,
  { run }: ObservedBackup,
  decision: Retry | Fail,
): Promise<Result> {
  const { backup, key, log, now } = context;
  // The status of a failed attempt names the member that it read from.
  const choice = run.state === "failed" ? run.report.choice : undefined;
  const current =
    choice === undefined ? backup : { ...backup, status: memberSelected(backup, choice, now()) };
  const isRetry = decision.do === "retry";
  await writeStatus(context, isRetry ? retrying(current, decision, now()) : failed(current, decision, now()));
  const reason = isRetry ? reasonOf(decision.error) : (decision.eventReason ?? decision.reason);
  const note = isRetry ? withHint(decision.error) : decision.message;
  context.events.warning(reason, note);
  log.warn({ backup: key, attempt: backup.status.attempts, reason, note }, "attempt failed");
  if (isRetry) {
    await context.runs.forget(key);
    return { againAfterMs: Math.max(0, decision.at.getTime() - now().getTime()) };
  }
  recordEnd(context, "failed");
  return undefined;
}

function recordEnd({ backup, key, metrics, log }: BackupContext, result: "succeeded" | "failed"): void {
  const { metadata, spec } = backup;
  // The metrics count the backups that were to be made.
  if (spec.imported === undefined)
    metrics.backupEnded({ namespace: metadata.namespace ?? "", cluster: spec.clusterName }, result);
  log.info({ backup: key, cluster: spec.clusterName, result }, "backup ended");
}
