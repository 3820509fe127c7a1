import { dataObject, manifestObject, parseBackupName, parseDataObject } from "../../core/backup/name.ts";
import { OperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";
import { readNamed } from "./listing.ts";

/**
 * Deletes one backup: its manifest first, so that no listing shows a backup without data, then its data, which the
 * manifest names. Without a readable manifest, and where that names data of another run, it deletes the data that the
 * name of the backup stands for. Throws Refused
 * for an object under object lock.
 */
export async function removeBackup(
  store: Pick<Store, "get" | "head" | "remove">,
  { clusterName, name, signal }: { clusterName: string; name: string; signal: AbortSignal },
): Promise<void> {
  const backup = parseBackupName(name);
  if (backup === undefined) throw new OperatorError("Usage", `${name} is not the name of a backup`);
  const entry = await readNamed(store, { clusterName, name }, signal);
  const { time, runId } = backup;
  const named = entry?.manifest?.stored.object;
  // Whoever may write to the folder could name the data of another backup.
  const isOwn = named !== undefined && parseDataObject(named)?.runId === runId;
  const data = !isOwn
    ? (["Zstd", "None"] as const).map((compression) => dataObject(clusterName, time, runId, compression))
    : [named];
  for (const object of [manifestObject(clusterName, backup), ...data]) await store.remove(object, { signal });
}
