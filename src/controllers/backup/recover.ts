import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { checkMayDelete, whyNotWrite } from "../../backup/folder.ts";
import { findBackupsOfRun } from "../../backup/catalog/orphans.ts";
import type { FolderState, StoredBackup, StoredRun } from "../../core/backup/observed.ts";
import { runPrefix } from "../../core/backup/run-id.ts";
import { attemptedElsewhere } from "../../core/backup/stored-location.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";
import type { BackupContext } from "./context.ts";
import { sweepAttempts } from "./sweep.ts";
import { writerIn } from "./writer.ts";

/**
 * Looks up in the store what the attempts of this EtcdBackup stored. Before it answers `absent` it deletes their data
 * where the store permits that, so that a manifest whose put is still in flight cannot make it a backup.
 */
export async function lookUpStored(context: BackupContext): Promise<StoredRun> {
  const { backup, store, signal } = context;
  if (store === undefined) return { state: "notAsked" };
  try {
    await using opened = await context.openStore(store, signal);
    checkAttemptedHere(backup, opened);
    const { uid } = backup.metadata;
    const query = { clusterName: backup.spec.clusterName, runPrefix: runPrefix(uid), uid, signal };
    const find = async (): Promise<StoredBackup | undefined> => {
      const [manifest] = await findBackupsOfRun(opened, query);
      return manifest === undefined
        ? undefined
        : { manifest, storeUrl: opened.url, storeLocation: opened.location };
    };
    let stored = await find();
    if (stored === undefined && store.spec.accessMode !== "ReadOnly") {
      // A copy of the Kubernetes cluster has the same EtcdBackup, whose attempt may be under way in the original.
      await checkMayDelete(folderOf(context, opened), signal);
      await sweepAttempts(opened, backup, context);
      // A manifest whose put was in flight may have been stored before its data was deleted.
      stored = await find();
    }
    return stored === undefined ? { state: "absent" } : { state: "found", backup: stored };
  } catch (thrown) {
    signal.throwIfAborted();
    return { state: "unknown", error: asOperatorError(thrown) };
  }
}

/** Milliseconds for which the EtcdBackups that wait for one folder share a look at it: there may be thousands. */
const sharedLookMs = 5_000;

/** What the last look at a folder found, by the UID of the store and the cluster name. */
export type FolderLooks = Map<string, { at: number; state: FolderState }>;

/** Throws when the attempt wrote elsewhere: to find nothing here does not mean that it stored nothing. */
function checkAttemptedHere({ spec, status }: EtcdBackup, opened: Store): void {
  const attempted = attemptedElsewhere(status, opened);
  if (attempted === undefined) return;
  const { name } = spec.storeRef;
  throw new OperatorError(
    "Refused",
    `the attempt wrote to ${attempted}, and EtcdBackupStore ${name} is ${opened.location} now`,
    { permanent: false, hint: `make EtcdBackupStore ${name} lead there again, or create another EtcdBackup` },
  );
}

/** Looks up whether another writer holds the folder. A store that does not answer is for the attempt to report. */
export async function lookAtFolder(context: BackupContext): Promise<FolderState> {
  const { store, backup, folderLooks, now, signal } = context;
  if (store === undefined) return { state: "notAsked" };
  const folder = `${store.metadata.uid} ${backup.spec.clusterName}`;
  const last = folderLooks.get(folder);
  if (last !== undefined && Math.abs(now().getTime() - last.at) < sharedLookMs) return last.state;
  folderLooks.delete(folder);
  try {
    await using opened = await context.openStore(store, signal);
    const why = await whyNotWrite(folderOf(context, opened), signal);
    if (why === undefined) return { state: "free" };
    const state = { state: "claimed", ...why } as const;
    folderLooks.set(folder, { at: now().getTime(), state });
    return state;
  } catch {
    signal.throwIfAborted();
    return { state: "free" };
  }
}

function folderOf(context: BackupContext, store: Store) {
  const { backup, now } = context;
  return { store, clusterName: backup.spec.clusterName, writer: writerIn(backup, context), now };
}
