import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import { checkMayDelete } from "../../backup/folder.ts";
import { type RunWindow, removeRun } from "../../backup/catalog/orphans.ts";
import { finalizer } from "../../core/backup/decide.ts";
import { runPrefix } from "../../core/backup/run-id.ts";
import { attemptedElsewhere, storedElsewhere } from "../../core/backup/stored-location.ts";
import { deletionBlocked } from "../../core/backup/status.ts";
import { OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";
import type { Result } from "../reconciler.ts";
import { type BackupContext, writeStatus } from "./context.ts";
import { judgeLoss, reportLeft } from "./loss.ts";
import { sweepAttempts } from "./sweep.ts";
import { writerIn } from "./writer.ts";

const tryAgainMs = 60_000;

/**
 * deletionPolicy Delete: removes the finalizer only when the store holds none of the backup's objects, or when nothing
 * can delete them any more because the namespace is being deleted.
 */
export async function deleteStored(context: BackupContext): Promise<Result> {
  const { backup, signal, now } = context;
  try {
    await deleteFromStore(context);
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asOperatorError(thrown);
    const loss = await judgeLoss(context, error);
    if (loss.do === "release") {
      reportLeft(context, loss.because);
      return removeFinalizer(context);
    }
    const why = [withHint(error), ...(loss.note === undefined ? [] : [loss.note])].join("; ");
    const note = `the stored backup cannot be deleted: ${why}; to delete the EtcdBackup alone, annotate it with etcdbackup.dev/force-delete=true`;
    context.deletionEvents.warning("DeletionBlocked", note);
    await writeStatus(context, deletionBlocked(backup, note, now()));
    return { againAfterMs: tryAgainMs };
  }
  const where = `EtcdBackupStore ${backup.spec.storeRef.name}`;
  context.deletionEvents.normal(
    "StoredBackupDeleted",
    `the stored backup was deleted from ${where}, as spec.deletionPolicy says${versionsNote(context)}`,
  );
  return removeFinalizer(context);
}

/** Lets the EtcdBackup go. */
export async function removeFinalizer({ backup, resources, signal }: BackupContext): Promise<Result> {
  const others = (backup.metadata.finalizers ?? []).filter((f) => f !== finalizer);
  await resources.writeFinalizers(backup, others, signal);
  return undefined;
}

/**
 * In a bucket with versioning, which object lock needs, a deletion only hides an object, unless spec.s3.versions is
 * Remove. Its bytes stay, and cost money. The last probe says so, so a bucket that changed since is described as it was.
 */
function versionsNote({ store, factsOf }: BackupContext): string {
  if (store === undefined || factsOf(store).removesVersions) return "";
  const { objectLock, versioning } = store.status.capabilities ?? {};
  if (objectLock === true)
    return "; the bucket has object lock: it no longer lists the objects, and keeps their bytes until the lock expires";
  return versioning === true
    ? "; the bucket has versioning: older versions of the objects remain until a lifecycle rule or a person deletes them"
    : "";
}

async function deleteFromStore(context: BackupContext): Promise<void> {
  const { backup, store, signal, openStore, catalogs } = context;
  if (store === undefined)
    throw new OperatorError("NotFound", `EtcdBackupStore ${backup.spec.storeRef.name} does not exist`);
  if (store.spec.accessMode === "ReadOnly")
    throw new OperatorError("Refused", `EtcdBackupStore ${store.metadata.name} has accessMode ReadOnly`);
  await using opened = await openStore(store, signal);
  checkLocation(backup, opened);
  const { clusterName } = backup.spec;
  const objects = objectsOf(backup);
  await checkMayDelete({ store: opened, clusterName, writer: writerIn(backup, context) }, signal, objects[0]);
  const window = windowOf(backup.status);
  for (const object of objects) await opened.remove(object, { signal });
  const { artifact } = backup.status;
  if (artifact !== undefined) catalogs.find(store)?.noteRemoved(clusterName, artifact.name);
  await removeRun(opened, {
    clusterName,
    runPrefix: runPrefix(backup.metadata.uid),
    ...(window === undefined ? {} : { window }),
    signal,
  });
  // An operator that was killed during an upload left it unfinished.
  await sweepAttempts(opened, backup, context, window);
}

/** The manifest and the data that the status names, the manifest first: no listing shows a backup without data. */
function objectsOf({ spec: { clusterName }, status: { artifact } }: EtcdBackup): string[] {
  if (artifact === undefined) return [];
  return [`${clusterName}/${artifact.name}.json`, artifact.url.split("/").slice(-2).join("/")];
}

/** Milliseconds by which the clocks of the operators that made attempts may have differed. */
const clockSlackMs = 48 * 3_600_000;

/**
 * The time in which the attempts of a stored backup were named, so that its deletion lists no folder of 100,000 others.
 * What an attempt left outside of it, by a clock that was further off, goes with the hourly sweep. Undefined while the
 * status names no stored backup: then one may have any name.
 */
function windowOf({ artifact, startTime, completionTime }: EtcdBackupStatus): RunWindow | undefined {
  const [from, until] = [Date.parse(startTime ?? ""), Date.parse(completionTime ?? "")];
  if (artifact === undefined || Number.isNaN(from) || Number.isNaN(until)) return undefined;
  return { from: new Date(from - clockSlackMs), until: new Date(until + clockSlackMs) };
}

/** Throws when the store is not where the backup was stored: to find nothing there does not mean that it is deleted. */
function checkLocation({ spec, status }: EtcdBackup, opened: Store): void {
  const { artifact } = status;
  const recorded =
    artifact === undefined ? attemptedElsewhere(status, opened) : storedElsewhere(artifact, opened);
  if (recorded === undefined) return;
  const { name } = spec.storeRef;
  const what = artifact === undefined ? "the last attempt wrote to" : "the backup was stored in";
  throw new OperatorError(
    "Refused",
    `${what} ${recorded}, and EtcdBackupStore ${name} is ${opened.location} now`,
    { hint: `make EtcdBackupStore ${name} lead there again, or delete the objects there yourself` },
  );
}
