/** What was observed after the stored backup of an EtcdBackup could not be deleted, in this order. */
export interface ObservedLoss {
  /** Whether the namespace is being deleted. `unknown`: why the operator cannot tell. */
  namespace: "live" | "terminating" | { unknown: string };
  /** Whether the EtcdBackupStore exists. Read after the namespace. */
  store: "found" | "missing";
  /** Whether the folder of the stored backup belongs to another writer. */
  isClaimed: boolean;
  /** Secrets that the store refers to and that do not exist. Read after the namespace. */
  missingSecrets: readonly string[];
}

export type LossDecision =
  /** Nothing can delete the stored backup from this namespace any more. */
  | { do: "release"; because: string }
  /** `note`: what a person should know besides the error. */
  | { do: "block"; note?: string };

/**
 * Whether an EtcdBackup may go without its stored backup. The API server creates nothing in a namespace that is being
 * deleted, and such a namespace never comes back to life. So what does not exist in it is lost for good, if that was
 * observed after the namespace. Anywhere else a Secret or a store may be created again, and whoever may delete one
 * must not thereby release the finalizers of others.
 */
export function decideLoss({ namespace, store, isClaimed, missingSecrets }: ObservedLoss): LossDecision {
  if (namespace === "live") return { do: "block" };
  if (namespace !== "terminating")
    return { do: "block", note: `whether the namespace is being deleted is unknown: ${namespace.unknown}` };
  if (store === "missing") return { do: "release", because: "the EtcdBackupStore does not exist any more" };
  // No backup of this namespace will take the folder any more.
  if (isClaimed) return { do: "release", because: "the folder in the store belongs to another writer" };
  if (missingSecrets.length === 0) return { do: "block" };
  const names = `${missingSecrets.length === 1 ? "Secret" : "Secrets"} ${missingSecrets.join(", ")}`;
  return {
    do: "release",
    because: `${names}, which the EtcdBackupStore needs, no longer ${missingSecrets.length === 1 ? "exists" : "exist"}`,
  };
}
