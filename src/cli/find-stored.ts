import { findBackup } from "../backup/catalog/find.ts";
import { clockWarning } from "../backup/catalog/latest.ts";
import type { CompleteBackup } from "../backup/catalog/listing.ts";
import type { Store } from "../store/store.ts";
import type { BackupArgument } from "./backup-argument.ts";
import type { Context } from "./context.ts";

/** Finds the backup in its store. Prints on stderr which one `latest` is, and each newer one that has a problem. */
export async function findStored(
  store: Store,
  { name, clusterName }: BackupArgument & { kind: "stored" },
  { signal, stderr }: Context,
): Promise<CompleteBackup> {
  const scope = clusterName === undefined ? { signal } : { clusterName, signal };
  const { passedOver, laterByClock, warning, ...backup } = await findBackup(store, { name, ...scope });
  if (warning !== undefined) stderr.write(`warning: ${warning}\n`);
  for (const other of passedOver)
    stderr.write(`warning: skipped ${other.name}: ${other.problem ?? other.stranger}\n`);
  if (laterByClock !== undefined) stderr.write(`warning: ${clockWarning(laterByClock, backup)}\n`);
  if (name === "latest") stderr.write(`latest is ${backup.clusterName}/${backup.name}\n`);
  return backup;
}
