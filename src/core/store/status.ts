import type { StoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { conditionStatus, setCondition, wholeSeconds } from "../conditions.ts";
import { type OperatorError, withHint } from "../errors.ts";

/** What one look at the store found out. Without `error` the store is ready. */
export interface StoreProbe {
  url?: string;
  error?: OperatorError;
  capabilities?: NonNullable<EtcdBackupStoreStatus["capabilities"]>;
  backups?: number;
  latest?: NonNullable<EtcdBackupStoreStatus["latestBackup"]>;
}

/**
 * Whether the next probe writes an object: once for each spec, and again after a failure. In a versioned bucket every
 * probe object leaves a version behind.
 */
export function needsWriteProbe({ spec, status, metadata }: EtcdBackupStore): boolean {
  const isProved =
    status.observedGeneration === metadata.generation &&
    conditionStatus(status.conditions, "Ready") === "True";
  return spec.accessMode === "ReadWrite" && !isProved;
}

/** The status before the first probe. */
export function probing(
  { metadata: { generation }, status }: EtcdBackupStore,
  now: Date,
): EtcdBackupStoreStatus {
  const reason: StoreReason = "Probing";
  const message = "asking the store for the first time";
  const ready = { type: "Ready", status: "Unknown", reason, message } as const;
  return {
    ...status,
    observedGeneration: generation,
    conditions: setCondition([], ready, { generation, now }),
  };
}

/** While the store does not answer, the status keeps what was known of its backups: a failed listing is not an empty store. */
export function probed(store: EtcdBackupStore, probe: StoreProbe, now: Date): EtcdBackupStoreStatus {
  const { error, capabilities, backups, latest, url } = probe;
  const { generation } = store.metadata;
  const isReadOnly = store.spec.accessMode === "ReadOnly";
  const reason: StoreReason =
    error === undefined ? (isReadOnly ? "ReadOnly" : "Reachable") : storeReasonOf(error, store);
  const message =
    error === undefined
      ? `${backups} ${backups === 1 ? "backup" : "backups"}${isReadOnly ? "; nothing is written here" : ""}`
      : withHint(error);
  const ready = {
    type: "Ready",
    status: error === undefined ? ("True" as const) : ("False" as const),
    reason,
    message,
  };
  const known = store.status;
  return {
    observedGeneration: generation,
    conditions: setCondition(known.conditions ?? [], ready, { generation, now }),
    lastProbeTime: wholeSeconds(now),
    ...fieldOf("url", url ?? known.url),
    ...fieldOf("capabilities", capabilities ?? known.capabilities),
    ...fieldOf("backups", backups ?? known.backups),
    ...fieldOf("latestBackup", error === undefined ? latest : known.latestBackup),
  };
}

function fieldOf<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}

/** The error's code as a documented reason. */
function storeReasonOf(error: OperatorError, store: EtcdBackupStore): StoreReason {
  switch (error.code) {
    case "NotFound":
      return store.spec.file === undefined ? "BucketNotFound" : "PathNotFound";
    case "Unauthorized":
    case "Unreachable":
    case "InvalidConfiguration":
    case "CredentialsNotFound":
      return error.code;
    case "Usage":
      return "InvalidConfiguration";
    case "Timeout":
      return "Unreachable";
    case "Internal":
      return "InternalError";
    default:
      return "StoreFailed";
  }
}
