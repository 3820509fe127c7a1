import type { Removal } from "../core/backup/removal.ts";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import type { Store } from "../store/store.ts";
import { removeBackup } from "./catalog/remove.ts";
import { checkMayDeleteWithoutHold } from "./folder.ts";

/**
 * Removes backups of a folder that nobody holds, in the given order. An operator may take the folder meanwhile, so the
 * claim is read before each one. A backup under object lock does not keep the others; any other failure ends the removal.
 */
export async function removeWithoutHold(
  store: Pick<Store, "list" | "get" | "head" | "remove">,
  { clusterName, names, signal }: { clusterName: string; names: readonly string[]; signal: AbortSignal },
): Promise<Removal> {
  const removal: Removal = { removed: new Set(), failed: new Map() };
  for (const name of names) {
    try {
      await checkMayDeleteWithoutHold({ store, clusterName }, signal);
      await removeBackup(store, { clusterName, name, signal });
      removal.removed.add(name);
    } catch (thrown) {
      const error = asOperatorError(thrown);
      removal.failed.set(name, error);
      if (!(thrown instanceof OperatorError && error.code === "Refused")) break;
    }
  }
  return removal;
}
