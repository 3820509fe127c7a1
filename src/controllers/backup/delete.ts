import { finalizer, runPrefix, withHint } from "../../core/backup/decide.ts";
import { deleting, deletionBlocked } from "../../core/backup/status.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { removeRun } from "../../backup/catalog/orphans.ts";
import { clearEarlier } from "./sweep.ts";
import { type Again, type Pass, write } from "./context.ts";

const tryAgainMs = 60_000;

/** deletionPolicy Delete: the finalizer goes only when the objects are gone. */
export async function removeObjects(pass: Pass): Promise<Again> {
  const { backup, signal, now } = pass;
  // A blocked deletion goes on saying so until it comes about: two states in turn would wake the controller for ever.
  const blocked = backup.status.conditions?.some((c) => c.reason === "DeletionBlocked") === true;
  if (!blocked) await write(pass, deleting(backup, now()));
  try {
    await removeFromStore(pass);
  } catch (thrown) {
    signal.throwIfAborted();
    const why = withHint(asOperatorError(thrown));
    const note = `the stored backup cannot be deleted: ${why}; annotate with etcdbackup.dev/force-delete=true to let it go without`;
    pass.events.record({
      regarding: backup,
      type: "Warning",
      reason: "DeletionBlocked",
      action: "Delete",
      note,
    });
    await write(pass, deletionBlocked(backup, note, now()));
    return { againAfterMs: tryAgainMs };
  }
  pass.events.record({
    regarding: backup,
    type: "Normal",
    reason: "StoredBackupDeleted",
    action: "Delete",
    note: `removed from EtcdBackupStore ${backup.spec.storeRef.name}, as spec.deletionPolicy asks${heldByLock(pass)}`,
  });
  const rest = (backup.metadata.finalizers ?? []).filter((f) => f !== finalizer);
  await pass.resources.writeFinalizers(backup, rest, signal);
  return undefined;
}

/** There, removing hides an object; its bytes stay, and are paid for, until the lock ends. */
function heldByLock({ store }: Pass): string {
  return store?.status.capabilities?.objectLock === true
    ? "; the bucket has object lock and keeps what is locked, unlisted, until its time is up"
    : "";
}

async function removeFromStore(pass: Pass): Promise<void> {
  const { backup, store, signal, openStore } = pass;
  if (store === undefined)
    throw new OperatorError("NotFound", `EtcdBackupStore ${backup.spec.storeRef.name} is gone`);
  if (store.spec.accessMode === "ReadOnly") {
    throw new OperatorError("Refused", `EtcdBackupStore ${store.metadata.name} has accessMode ReadOnly`);
  }
  await using opened = await openStore(store, signal);
  await removeRun(opened, {
    clusterName: backup.spec.clusterName,
    runPrefix: runPrefix(backup.metadata.uid),
    signal,
  });
  // An operator that was killed in its upload could not call it off.
  await clearEarlier(opened, backup, pass);
}
