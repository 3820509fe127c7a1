import { problemOf } from "../../backup/catalog/find.ts";
import { readNamed } from "../../backup/catalog/listing.ts";
import type { StoredRun } from "../../core/backup/observed.ts";
import { asOperatorError } from "../../core/errors.ts";
import type { BackupContext } from "./context.ts";

/** Reads the manifest of the backup that the EtcdBackup imports. Writes nothing: the store may be ReadOnly. */
export async function lookUpImported(context: BackupContext, name: string): Promise<StoredRun> {
  const { backup, store, signal } = context;
  if (store === undefined) return { state: "notAsked" };
  try {
    await using opened = await context.openStore(store, signal);
    const { clusterName } = backup.spec;
    const entry = await readNamed(opened, { clusterName, name }, signal);
    if (entry === undefined) return { state: "absent" };
    const { manifest, problem } = entry;
    if (manifest === undefined || problem !== undefined)
      return { state: "unknown", error: problemOf(`backup ${name} in ${opened.url}`, entry) };
    return { state: "found", backup: { manifest, storeUrl: opened.url, storeLocation: opened.location } };
  } catch (thrown) {
    signal.throwIfAborted();
    return { state: "unknown", error: asOperatorError(thrown) };
  }
}
