import {
  type BackupDecision,
  decide,
  finalizer,
  reasonOf,
  runIdOf,
  withHint,
} from "../../core/backup/decide.ts";
import {
  changed,
  failed,
  initialised,
  memberSelected,
  restamped,
  retrying,
  started,
  streaming,
  succeeded,
} from "../../core/backup/status.ts";
import { type Again, type BackupControllerDeps, type Pass, write } from "./context.ts";
import { recover } from "./recover.ts";
import { removeObjects } from "./delete.ts";
import type { BackupResult } from "./attempt.ts";
import { type Reconcile, keyOf } from "../reconciler.ts";

/** A look at a running backup even when it reports nothing. */
const lookAgainMs = 5_000;

/** observe → decide → act for EtcdBackup. */
export function backupReconciler(deps: BackupControllerDeps): Reconcile {
  return async (request, signal) => {
    const key = keyOf(request);
    const backup = await deps.resources.backup(request, signal);
    if (backup === undefined) {
      await deps.runs.cancel(key, "the EtcdBackup was deleted");
      return undefined;
    }
    await deps.runs.cancelOthers(key, backup.metadata.uid);
    const store = await deps.resources.store(
      { namespace: request.namespace, name: backup.spec.storeRef.name },
      signal,
    );
    const run = deps.runs.view(key, backup.metadata.uid);
    const decision = decide(
      {
        backup,
        store: store === undefined ? "missing" : store.spec.accessMode === "ReadOnly" ? "readOnly" : "found",
        run: run.state,
        ...(run.state === "reserved" ? { attempt: run.attempt } : {}),
        ...(run.state === "failed" ? { failure: run.error } : {}),
        freeSlots: deps.runs.freeSlots,
      },
      deps.now(),
    );
    deps.log.debug({ backup: key, decision: decision.do }, "decided");
    return act({ ...deps, backup, store, key, signal }, decision);
  };
}

async function act(pass: Pass, decision: BackupDecision): Promise<Again> {
  const { backup, runs, resources, key, signal, now } = pass;
  const finalizers = backup.metadata.finalizers ?? [];
  switch (decision.do) {
    case "nothing":
      runs.forget(key);
      return undefined;
    case "restamp":
      await write(pass, restamped(backup));
      return { againAfterMs: 0 };
    case "initialise":
      await write(pass, initialised(backup, now()));
      return { againAfterMs: 0 };
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
      if (reason === "StoreNotReady") {
        pass.events.record({ regarding: backup, type: "Warning", reason, action: "Backup", note: message });
      }
      await write(pass, changed(backup, { outcome: "InProgress", reason, message }, now()));
      return { againAfterMs: ms };
    }
    case "recover":
      return recover(pass, { recordSuccess, recordFailure });
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

/** The attempt is in status before it begins: an operator that dies in it leaves a trace to take up. */
async function start(pass: Pass, attempt: number): Promise<Again> {
  const { backup, store, key, now, runs } = pass;
  const { uid } = backup.metadata;
  if (store === undefined || !runs.reserve(key, { uid, attempt })) return { againAfterMs: lookAgainMs };
  const runId = runIdOf(uid, attempt);
  const status = started(backup, { attempt, runId }, now());
  // When this throws, the attempt stays reserved: it may stand in status all the same, and is begun at the next pass.
  await write(pass, status);
  pass.events.record({
    regarding: backup,
    type: "Normal",
    reason: "SnapshotStarted",
    action: "Backup",
    note: `attempt ${attempt} of ${backup.spec.backoffLimit + 1}`,
  });
  runs.start(key, {}, pass.startRun({ backup: { ...backup, status }, store, runId }));
  return { againAfterMs: lookAgainMs };
}

async function reportProgress(pass: Pass): Promise<Again> {
  const { backup, now } = pass;
  const run = pass.runs.view(pass.key, backup.metadata.uid);
  if (run.state !== "running") return { againAfterMs: 0 };
  const { choice, progress } = run.report;
  let seen = backup;
  if (choice !== undefined && backup.status.member === undefined) {
    seen = { ...seen, status: memberSelected(seen, choice, now()) };
  }
  if (progress !== undefined && progress.bytes !== backup.status.progress?.bytes) {
    seen = { ...seen, status: streaming(seen, progress, now()) };
  }
  await write(pass, seen.status);
  return { againAfterMs: lookAgainMs };
}

async function recordSuccess(pass: Pass, { manifest, storeUrl }: BackupResult): Promise<Again> {
  const { backup, now } = pass;
  const status = succeeded(backup, manifest, storeUrl, now());
  await write(pass, status);
  pass.events.record({
    regarding: backup,
    type: "Normal",
    reason: "SnapshotSucceeded",
    action: "Backup",
    note: `revision ${manifest.snapshot.revision} stored as ${manifest.name} in EtcdBackupStore ${backup.spec.storeRef.name}`,
  });
  pass.runs.forget(pass.key);
  pass.ended({ ...backup, status }, manifest);
  return undefined;
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
  await write(pass, status);
  const reason =
    error === undefined ? (decision.do === "fail" ? decision.reason : "Retrying") : reasonOf(error);
  const note = decision.do === "fail" ? decision.message : withHint(decision.error);
  pass.events.record({ regarding: backup, type: "Warning", reason, action: "Backup", note });
  pass.log.warn({ backup: pass.key, attempt: backup.status.attempts, reason, note }, "attempt failed");
  pass.runs.forget(pass.key);
  if (decision.do === "retry") return { againAfterMs: Math.max(0, decision.at.getTime() - now().getTime()) };
  pass.ended({ ...backup, status }, undefined);
  return undefined;
}
