import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { removeBackup } from "../../backup/catalog/remove.ts";
import type { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import { checkMayDelete } from "../../backup/folder.ts";
import { OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import type { RetentionPlan } from "../../core/retention/plan.ts";
import type { Store } from "../../store/store.ts";
import { writerOfStore } from "../store/writer.ts";
import type { ScheduleContext } from "./context.ts";

interface Place {
  store: EtcdBackupStore;
  opened: Store;
  catalog: StoreCatalog;
}

/**
 * Removes stored backups. One under object lock does not keep the others; any other failure ends the round. `blocked`: why
 * one of them is still there.
 */
export async function removeBackups(
  context: ScheduleContext,
  { store, opened, catalog }: Place,
  planned: RetentionPlan["removed"],
): Promise<{ removed: Set<string>; blocked: string | undefined }> {
  const { schedule, resources, writers, events, signal } = context;
  const { clusterName } = schedule.spec.template.spec;
  const { namespace = "", name: storeName } = store.metadata;
  const writer = writerOfStore({ namespace, name: storeName }, { resources, writers });
  const removed = new Set<string>();
  let blocked: string | undefined;
  for (const { backup, reason } of planned) {
    const { name } = backup;
    try {
      await checkMayDelete({ store: opened, clusterName, writer }, signal, `${clusterName}/${name}.json`);
      await removeBackup(opened, { clusterName, name, signal });
      catalog.noteRemoved(clusterName, name);
      removed.add(name);
      events.normal("BackupRemoved", `${name}: ${reason}`);
    } catch (error) {
      signal.throwIfAborted();
      blocked ??= `${name} cannot be removed: ${withHint(asOperatorError(error))}`;
      if (!(error instanceof OperatorError && error.code === "Refused")) break;
    }
  }
  if (blocked !== undefined) events.warning("RemovalBlocked", blocked);
  return { removed, blocked };
}

/** Deletes the EtcdBackups whose backups are gone. Resolves to why one of them is still there. */
export async function removeRecords(
  { resources, events, signal }: ScheduleContext,
  records: readonly EtcdBackup[],
): Promise<string | undefined> {
  for (const backup of records) {
    const { name } = backup.metadata;
    try {
      await resources.removeBackup(backup, signal);
      events.normal("RecordRemoved", `EtcdBackup ${name}: its backup is not in the store any more`);
    } catch (error) {
      signal.throwIfAborted();
      return `EtcdBackup ${name} cannot be deleted: ${withHint(asOperatorError(error))}`;
    }
  }
  return undefined;
}
