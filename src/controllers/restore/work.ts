import type { RestoreReport, RestoreResult } from "../../core/restore/observed.ts";
import type { RestoreWork, RestoreWorkDeps } from "./context.ts";
import { verifyBackup } from "./verify-backup.ts";
import { verifyCluster } from "./verify-cluster.ts";

/** Does one step of an EtcdRestore. */
export async function performStep(
  deps: RestoreWorkDeps,
  { step, restore }: RestoreWork,
  report: (change: Partial<RestoreReport>) => void,
  signal: AbortSignal,
): Promise<RestoreResult> {
  return step === "verify"
    ? verifyBackup(deps, restore, report, signal)
    : verifyCluster(deps, restore, signal);
}
