import type { EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { OperatorError } from "../../core/errors.ts";
import { restoreSucceeded } from "../../core/restore/status.ts";
import type { Result } from "../reconciler.ts";
import { type RestoreContext, writeRestoreStatus } from "./context.ts";
import { recordEnd } from "./record-end.ts";

/**
 * Writes the status of a proved restore, then records its end in the store. The status comes first, so that no failure
 * of the store, and no crash before the deadline, takes back what is proved. A crash in between leaves the record to
 * the next operator.
 */
export async function succeed(
  context: RestoreContext,
  verification: NonNullable<EtcdRestoreStatus["verification"]>,
): Promise<Result> {
  const { restore, now, events } = context;
  const { source } = restore.status;
  if (source === undefined) throw new OperatorError("Internal", "the restore has no source in its status");
  const status = restoreSucceeded(restore, verification, now());
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
  return recordEnd({ ...context, restore: { ...restore, status } });
}
