import { findBackupsOfRun } from "../../backup/catalog/orphans.ts";
import type { StoredBackup, StoredRun } from "../../core/backup/observed.ts";
import { runPrefix } from "../../core/backup/run-id.ts";
import { asOperatorError } from "../../core/errors.ts";
import type { BackupContext } from "./context.ts";
import { sweepAttempts } from "./sweep.ts";

/**
 * Asks the store what the attempts of this EtcdBackup stored. Before it answers `absent` it deletes their data, so that
 * no manifest can still turn that into a backup.
 */
export async function lookUpStored(context: BackupContext): Promise<StoredRun> {
  const { backup, store, signal } = context;
  if (store === undefined) return { state: "notAsked" };
  try {
    await using opened = await context.openStore(store, signal);
    const { uid } = backup.metadata;
    const query = { clusterName: backup.spec.clusterName, runPrefix: runPrefix(uid), uid, signal };
    const look = async (): Promise<StoredBackup | undefined> => {
      const [manifest] = await findBackupsOfRun(opened, query);
      return manifest === undefined ? undefined : { manifest, storeUrl: opened.url };
    };
    let found = await look();
    if (found === undefined && store.spec.accessMode !== "ReadOnly") {
      await sweepAttempts(opened, backup, context);
      // A manifest whose put was under way may have been stored before its data was deleted.
      found = await look();
    }
    return found === undefined ? { state: "absent" } : { state: "found", backup: found };
  } catch (thrown) {
    signal.throwIfAborted();
    return { state: "unknown", error: asOperatorError(thrown) };
  }
}
