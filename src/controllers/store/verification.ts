import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import { unreadableMarks } from "../../backup/catalog/verification.ts";
import { wholeSeconds } from "../../core/conditions.ts";
import { type Marks, merged, noMarks, withVerdict } from "../../core/verification/marks.ts";
import type { Failing, FoundFailures } from "../../core/verification/status.ts";
import type { Store } from "../../store/store.ts";

/** The backups whose last verification failed, by the records in a store that was just listed. */
export async function findFailures(
  catalog: StoreCatalog,
  resource: EtcdBackupStore,
  store: Pick<Store, "get" | "list">,
  signal: AbortSignal,
): Promise<FoundFailures> {
  seedMarks(catalog, resource);
  const failing: Failing[] = [];
  const unknown = new Set<string>();
  const warnings: string[] = [];
  for (const clusterName of catalog.failedFolders()) {
    try {
      const { problems, verified } = await catalog.marksOf(store, clusterName, signal);
      for (const [backup, problem] of problems) {
        if (!catalog.has(clusterName, backup)) continue;
        const time = wholeSeconds(new Date((verified.get(backup) ?? 0) * 1000));
        failing.push({ clusterName, backup, time, problem });
      }
    } catch (error) {
      signal.throwIfAborted();
      unknown.add(clusterName);
      warnings.push(unreadableMarks(clusterName, error));
    }
  }
  return { failing, unknown, warnings };
}

/** A ReadOnly store keeps no record of this operator, so an operator that starts learns the failures from status. */
export function seedMarks(catalog: StoreCatalog, { spec, status }: EtcdBackupStore): void {
  if (spec.accessMode !== "ReadOnly") return;
  for (const { clusterName, backup, time, problem } of status.verification?.failing ?? []) {
    const known: Marks = catalog.knownMarks(clusterName);
    if (known.verified.has(backup) || !catalog.has(clusterName, backup)) continue;
    const seed = withVerdict(noMarks, { name: backup, at: new Date(time), problem }, () => true);
    catalog.noteMarks(clusterName, merged(known, seed));
  }
}
