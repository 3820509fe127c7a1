import { dataObjectsOf, manifestObject, parseBackupName } from "../../core/backup/name.ts";
import { OperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";
import { readNamed } from "./listing.ts";

/**
 * Deletes one backup: its manifest first, so that no listing shows a backup without data, then its data, which the
 * manifest names. Without a readable manifest it deletes the data that the name of the backup stands for. Throws Refused
 * for an object under object lock.
 */
export async function removeBackup(
  store: Pick<Store, "get" | "head" | "remove">,
  { clusterName, name, signal }: { clusterName: string; name: string; signal: AbortSignal },
): Promise<void> {
  const backup = parseBackupName(name);
  if (backup === undefined) throw new OperatorError("Usage", `${name} is not the name of a backup`);
  const entry = await readNamed(store, { clusterName, name }, signal);
  const named = entry?.manifest?.stored.object;
  const data = named === undefined ? dataObjectsOf(clusterName, backup) : [named];
  for (const object of [manifestObject(clusterName, backup), ...data]) await store.remove(object, { signal });
}
