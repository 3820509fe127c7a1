import { type CompleteBackup, findBackup } from "../backup/catalog/list.ts";
import type { Store } from "../store/store.ts";
import type { BackupArgument } from "./backup-argument.ts";
import type { Context } from "./context.ts";

/** The backup that was asked for. What `latest` came to mean is said on stderr, and which newer ones it stepped over. */
export async function findStored(
  store: Store,
  backup: BackupArgument & { kind: "stored" },
  { signal, stderr }: Context,
): Promise<CompleteBackup> {
  const { passedOver, ...found } = await findBackup(store, { ...backup, signal });
  for (const { name, problem } of passedOver) stderr.write(`warning: ${name} is passed over: ${problem}\n`);
  if (backup.name === "latest") stderr.write(`latest is ${found.clusterName}/${found.name}\n`);
  return found;
}
