import { type LossDecision, type ObservedLoss, decideLoss } from "../../core/backup/loss.ts";
import { runPrefix } from "../../core/backup/run-id.ts";
import { type OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import type { BackupContext } from "./context.ts";

/** Decides whether an EtcdBackup whose stored backup cannot be deleted has to wait for that. */
export async function judgeLoss(context: BackupContext, error: OperatorError): Promise<LossDecision> {
  const isClaimed = error.code === "FolderClaimed";
  const mayBeLost = context.store === undefined || error.code === "CredentialsNotFound" || isClaimed;
  return mayBeLost ? decideLoss({ ...(await observeLoss(context)), isClaimed }) : { do: "block" };
}

/** Reads the namespace first: what exists after that may still be deleted, but is never created again. */
async function observeLoss({
  backup,
  resources,
  factsOf,
  signal,
}: BackupContext): Promise<Omit<ObservedLoss, "isClaimed">> {
  const { namespace = "" } = backup.metadata;
  const none = { store: "found", missingSecrets: [] } as const;
  try {
    if (!(await resources.isTerminating(namespace, signal))) return { namespace: "live", ...none };
  } catch (thrown) {
    signal.throwIfAborted();
    return { namespace: { unknown: withHint(asOperatorError(thrown)) }, ...none };
  }
  const name = backup.spec.storeRef.name;
  const store = await resources.store({ namespace, name }, signal);
  if (store === undefined) return { namespace: "terminating", store: "missing", missingSecrets: [] };
  const missingSecrets: string[] = [];
  for (const secret of factsOf(store).secrets)
    if (!(await resources.hasSecret({ namespace, name: secret }, signal))) missingSecrets.push(secret);
  return { namespace: "terminating", store: "found", missingSecrets };
}

/** Says what stays in the store. Nobody can write an event in a namespace that is being deleted. */
export function reportLeft({ backup, key, log, metrics }: BackupContext, because: string): void {
  const { artifact } = backup.status;
  const objects =
    artifact === undefined
      ? { runs: `${backup.spec.clusterName}/*-${runPrefix(backup.metadata.uid)}*` }
      : { manifest: artifact.manifestURL, data: artifact.url };
  log.warn(
    { backup: key, because, ...objects },
    "the namespace is being deleted, and nothing in it can delete the stored backup any more: it stays in the store",
  );
  metrics.storedBackupLeft(backup.metadata.namespace ?? "");
}
