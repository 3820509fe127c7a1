import { foldersOfOthers } from "../../backup/catalog/claim.ts";
import { abandonedAfterMs, keptMessage, sweepAbandoned } from "../../backup/catalog/orphans.ts";
import type { Log } from "../../core/log.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";

/**
 * Deletes abandoned objects in the folders that are this writer's. `objects`: all that are no part of a complete backup.
 * A failure is only logged, since a store that refuses deletion is still usable.
 */
export async function sweep(
  { now, log }: { now: () => Date; log: Log },
  store: Store,
  { objects, writer, signal }: { objects: readonly ObjectInfo[]; writer: string; signal: AbortSignal },
): Promise<void> {
  try {
    const others = await foldersOfOthers(store, { objects, writer, signal });
    const isOurs = (clusterName: string) => !others.has(clusterName);
    const before = new Date(now().getTime() - abandonedAfterMs);
    const onKept = (object: string) => log.warn({ store: store.url, object }, keptMessage);
    const count = await sweepAbandoned(store, { before, objects, isOurs, signal, onKept });
    if (count > 0) log.info({ store: store.url, count }, "deleted orphaned objects");
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ store: store.url, err: error }, "orphaned objects cannot be deleted");
  }
}
