import { type CompleteBackup, findBackup } from "../backup/catalog/list.ts";
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
  const { passedOver, ...backup } = await findBackup(store, { name, ...scope });
  for (const newer of passedOver) stderr.write(`warning: skipped ${newer.name}: ${newer.problem}\n`);
  if (name === "latest") stderr.write(`latest is ${backup.clusterName}/${backup.name}\n`);
  return backup;
}
