import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdRestore } from "../api/v1alpha1/etcd-restore.ts";
import type { Line } from "./admission.ts";
import { type Reconcile, type Result, keyOf } from "./reconciler.ts";
import type { HoldState, StoreHolds } from "./store/holds.ts";

/** The same reconciler. A slot that is free for an object whose passes fail must not stay free while others wait. */
export function leavingLineOnError(line: Pick<Line, "leaveLine">, reconcile: Reconcile): Reconcile {
  return async (request, signal) => {
    try {
      return await reconcile(request, signal);
    } catch (error) {
      line.leaveLine(keyOf(request));
      throw error;
    }
  };
}

interface Worker {
  admission: Pick<Line, "leaveLine">;
  runs: { cancel(key: string, why: string): Promise<void> };
  holds: StoreHolds;
}

/** Stops the work on an object whose store another operator holds. The store wakes this one when that changes. */
export async function leaveToHolder(
  { admission, runs, holds }: Worker,
  object: EtcdBackup | EtcdRestore,
  { holder, durationMs }: HoldState & { is: "foreign" },
): Promise<NonNullable<Result>> {
  const key = keyOf(object.metadata);
  admission.leaveLine(key);
  await runs.cancel(key, `the operator with Lease ${holder} holds the EtcdBackupStore`);
  holds.leave(object, holder);
  return { againAfterMs: durationMs };
}
