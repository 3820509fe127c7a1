import { isFinished } from "../../core/conditions.ts";
import { verified } from "../../core/backup/status.ts";
import { type BackupContext, writeStatus } from "./context.ts";

/**
 * Records what the last verification of the stored backup has found, as far as this process knows it. The controller of
 * verifications wakes the EtcdBackup for this.
 */
export async function recordVerification(context: BackupContext): Promise<void> {
  const { backup, store, catalogs, now } = context;
  const { artifact } = backup.status;
  if (store === undefined || artifact === undefined || !isFinished(backup)) return;
  if (backup.metadata.deletionTimestamp !== undefined) return;
  const marks = catalogs.find(store)?.knownMarks(backup.spec.clusterName);
  const at = marks?.verified.get(artifact.name);
  if (at === undefined) return;
  const verdict = { at: new Date(at * 1000), problem: marks?.problems.get(artifact.name) };
  await writeStatus(context, verified(backup, verdict, now()));
}
