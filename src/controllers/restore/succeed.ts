import type { EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { writeRestoreRecord } from "../../backup/catalog/restore-record.ts";
import { OperatorError } from "../../core/errors.ts";
import { restoreSucceeded } from "../../core/restore/status.ts";
import type { Result } from "../reconciler.ts";
import { type RestoreContext, writeRestoreStatus } from "./context.ts";
import { sourceOf } from "./source.ts";

/**
 * Records the end in the store before it writes the status. A later restore of the API server brings the EtcdRestore
 * back as unfinished, and the record keeps it from running again.
 */
export async function succeed(
  context: RestoreContext,
  verification: NonNullable<EtcdRestoreStatus["verification"]>,
): Promise<Result> {
  const { restore, runs, key, now, signal, events } = context;
  const { source } = restore.status;
  if (source === undefined) throw new OperatorError("Internal", "the restore has no source in its status");
  const status = restoreSucceeded(restore, verification, now());
  await record(context, source, status.completionTime ?? now().toISOString());
  await writeRestoreStatus(context, status);
  for (const alarm of verification.alarms ?? [])
    events.warning(
      "AlarmRaised",
      `the ${alarm} alarm came with the backup and is still raised: remove its cause before you disarm it`,
    );
  const members = verification.members.join(", ");
  events.normal(
    "RestoreSucceeded",
    `members ${members} hold revision ${source.revision} of cluster ${source.clusterName} with equal HashKV`,
  );
  signal.throwIfAborted();
  runs.forget(key);
  return undefined;
}

async function record(
  context: RestoreContext,
  source: NonNullable<EtcdRestoreStatus["source"]>,
  completedAt: string,
): Promise<void> {
  const { restore, resources, signal, log, key } = context;
  const { uid, name, namespace = "default" } = restore.metadata;
  const { store } = await sourceOf(restore, resources, signal);
  if (store.spec.accessMode === "ReadOnly") {
    log.info({ restore: key }, "the store is ReadOnly: the end of the restore is not recorded in it");
    return;
  }
  await using opened = await context.openStore(store, signal);
  const entry = {
    formatVersion: 1 as const,
    uid,
    namespace,
    name,
    backup: source.name,
    target: restore.spec.target.cluster.name,
    token: restore.status.token ?? "",
    completedAt,
  };
  try {
    await writeRestoreRecord(opened, source.clusterName, entry, signal);
  } catch (error) {
    signal.throwIfAborted();
    // The cluster is restored and verified, even when the bucket accepts no more objects.
    log.warn({ restore: key, err: error }, "the end of the restore cannot be recorded in the store");
  }
}
