import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { isFinished } from "../../core/conditions.ts";
import { leaveToHolder } from "../leave.ts";
import type { Result } from "../reconciler.ts";
import type { RestoreControllerDeps, RestoreResources } from "./context.ts";

/** Stops the work for a restore whose store another operator holds. Undefined: this operator may go on. */
export async function leaveIfForeign(
  deps: RestoreControllerDeps,
  restore: EtcdRestore,
  signal: AbortSignal,
): Promise<NonNullable<Result> | undefined> {
  const { holds, resources } = deps;
  const { namespace = "", name } = restore.metadata;
  // Nothing is left to do for an EtcdRestore that has ended, so its store is not read.
  const store = isSettled(restore) ? undefined : await storeThatIsRead(restore, resources, signal);
  const held = store === undefined ? undefined : await holds.hold(store, signal);
  if (held?.is !== "foreign") {
    holds.keep("EtcdRestore", { namespace, name });
    return undefined;
  }
  return leaveToHolder(deps, restore, held);
}

function isSettled(restore: EtcdRestore): boolean {
  return isFinished(restore) && restore.status.endRecord?.state !== "Pending";
}

/** The store that the restore reads; undefined when it, or the EtcdBackup that names it, does not exist. */
async function storeThatIsRead(
  { metadata: { namespace = "" }, spec, status }: EtcdRestore,
  resources: Pick<RestoreResources, "backup" | "store">,
  signal: AbortSignal,
): Promise<EtcdBackupStore | undefined> {
  const { store, backupRef } = spec.source;
  const ref = status.source?.storeRef ?? store?.storeRef;
  const name =
    ref?.name ??
    (await resources.backup({ namespace, name: backupRef?.name ?? "" }, signal))?.spec.storeRef.name;
  return name === undefined ? undefined : resources.store({ namespace, name }, signal);
}
