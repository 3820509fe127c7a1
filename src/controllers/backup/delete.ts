import { removeRun } from "../../backup/catalog/orphans.ts";
import { finalizer } from "../../core/backup/decide.ts";
import { runPrefix } from "../../core/backup/run-id.ts";
import { deletionBlocked } from "../../core/backup/status.ts";
import { OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import type { Result } from "../reconciler.ts";
import { type BackupContext, writeStatus } from "./context.ts";
import { sweepAttempts } from "./sweep.ts";

const tryAgainMs = 60_000;

/** deletionPolicy Delete: removes the finalizer only when the store holds none of the backup's objects. */
export async function deleteStored(context: BackupContext): Promise<Result> {
  const { backup, signal, now, resources } = context;
  try {
    await deleteFromStore(context);
  } catch (thrown) {
    signal.throwIfAborted();
    const why = withHint(asOperatorError(thrown));
    const note = `the stored backup cannot be deleted: ${why}; to delete the EtcdBackup alone, annotate it with etcdbackup.dev/force-delete=true`;
    context.deletionEvents.warning("DeletionBlocked", note);
    await writeStatus(context, deletionBlocked(backup, note, now()));
    return { againAfterMs: tryAgainMs };
  }
  const where = `EtcdBackupStore ${backup.spec.storeRef.name}`;
  context.deletionEvents.normal(
    "StoredBackupDeleted",
    `the stored backup was deleted from ${where}, as spec.deletionPolicy says${lockNote(context)}`,
  );
  const others = (backup.metadata.finalizers ?? []).filter((f) => f !== finalizer);
  await resources.writeFinalizers(backup, others, signal);
  return undefined;
}

/** With object lock a deletion only hides an object. Its bytes stay, and cost money, until the lock expires. */
function lockNote({ store }: BackupContext): string {
  return store?.status.capabilities?.objectLock === true
    ? "; the bucket has object lock: it no longer lists the objects, and keeps their bytes until the lock expires"
    : "";
}

async function deleteFromStore(context: BackupContext): Promise<void> {
  const { backup, store, signal, openStore } = context;
  if (store === undefined)
    throw new OperatorError("NotFound", `EtcdBackupStore ${backup.spec.storeRef.name} does not exist`);
  if (store.spec.accessMode === "ReadOnly")
    throw new OperatorError("Refused", `EtcdBackupStore ${store.metadata.name} has accessMode ReadOnly`);
  await using opened = await openStore(store, signal);
  await removeRun(opened, {
    clusterName: backup.spec.clusterName,
    runPrefix: runPrefix(backup.metadata.uid),
    signal,
  });
  // An operator that was killed during an upload left it unfinished.
  await sweepAttempts(opened, backup, context);
}
