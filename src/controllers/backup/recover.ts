import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type BackupDecision, afterFailure, runPrefix, whileUnknown } from "../../core/backup/decide.ts";
import { changed, interrupted } from "../../core/backup/status.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { findBackupsOfRun } from "../../backup/catalog/orphans.ts";
import { clearEarlier } from "./sweep.ts";
import { type Again, type Pass, write } from "./context.ts";
import type { BackupResult } from "./attempt.ts";

interface Ends {
  recordSuccess(pass: Pass, result: BackupResult): Promise<Again>;
  recordFailure(pass: Pass, decision: BackupDecision & { do: "retry" | "fail" }): Promise<Again>;
}

/**
 * An earlier operator began this attempt, or it failed here without saying whether its last request took effect. What
 * was finished is in the store; what was not counts as failed.
 */
export async function recover(pass: Pass, { recordSuccess, recordFailure }: Ends): Promise<Again> {
  const { backup, store, signal, events, now } = pass;
  const run = pass.runs.view(pass.key, backup.metadata.uid);
  const ended = run.state === "failed" ? run.error : undefined;
  if (store === undefined) return { againAfterMs: 0 };
  const warn = (reason: string, note: string) =>
    events.record({ regarding: backup, type: "Warning", reason, action: "Backup", note });
  let finished: BackupResult | undefined;
  try {
    finished = await lookFor(pass, store);
  } catch (thrown) {
    signal.throwIfAborted();
    const decision = whileUnknown(backup, asOperatorError(thrown), now(), ended);
    if (decision.do === "fail") return recordFailure(pass, decision);
    const { reason, message, ms } = decision;
    warn(reason, message);
    await write(pass, changed(backup, { outcome: "InProgress", reason, message }, now()));
    return { againAfterMs: ms };
  }
  if (finished !== undefined) return recordSuccess(pass, finished);
  const stopped = new OperatorError("Aborted", "the operator stopped in the middle of the attempt");
  const next = afterFailure(backup, ended ?? stopped, now());
  if (next.do === "fail" || (ended !== undefined && next.do === "retry")) return recordFailure(pass, next);
  warn("OperatorRestarted", "the operator stopped in the middle of an attempt; starting again");
  await write(pass, interrupted(backup, { counts: true, now: now() }));
  return { againAfterMs: 0 };
}

async function lookFor(pass: Pass, store: EtcdBackupStore): Promise<BackupResult | undefined> {
  const { backup, signal } = pass;
  await using opened = await pass.openStore(store, signal);
  const { uid } = backup.metadata;
  const query = { clusterName: backup.spec.clusterName, runPrefix: runPrefix(uid), uid, signal };
  const look = async (): Promise<BackupResult | undefined> => {
    const [manifest] = await findBackupsOfRun(opened, query);
    return manifest === undefined ? undefined : { manifest, storeUrl: opened.url };
  };
  const finished = await look();
  if (finished !== undefined || store.spec.accessMode === "ReadOnly") return finished;
  await clearEarlier(opened, backup, pass);
  // A manifest that was still on its way may have landed before its data was cleared, and has kept it.
  return look();
}
