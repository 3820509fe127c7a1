import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { Condition, StoreReason } from "../../api/v1alpha1/conditions.ts";
import { conditionStatus, setCondition, wholeSeconds } from "../conditions.ts";
import { type OperatorError, withHint } from "../errors.ts";

/** The result of one probe of the store. Without `error` the store is ready. */
export interface StoreProbe {
  url?: string;
  error?: OperatorError;
  capabilities?: NonNullable<EtcdBackupStoreStatus["capabilities"]>;
  backups?: number;
  /** What a person should know though the store is ready. */
  warnings?: readonly string[];
  /** The writer of which this one is a copy. */
  original?: { id: string; isAlive: boolean } | undefined;
  latest?: NonNullable<EtcdBackupStoreStatus["latestBackup"]>;
  catalog?: EtcdBackupStoreStatus["catalog"];
}

/**
 * Whether the next probe writes an object. It does so once for each generation of the spec, and again after a failure:
 * in a versioned bucket every probe object leaves a version behind.
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
  const message = "the operator is probing the store for the first time";
  const ready = { type: "Ready", status: "Unknown", reason, message } as const;
  return {
    ...status,
    observedGeneration: generation,
    conditions: setCondition([], ready, { generation, now }),
  };
}

/**
 * The status after a probe. `missing`: the reason where the location does not exist. A failed probe keeps the earlier backups: a failed listing does not mean an empty store.
 */
export function probed(
  store: EtcdBackupStore,
  probe: StoreProbe,
  { missing, now }: { missing: StoreReason; now: Date },
): EtcdBackupStoreStatus {
  const { error, capabilities, backups, latest, url } = probe;
  const { generation } = store.metadata;
  const isReadOnly = store.spec.accessMode === "ReadOnly";
  const reason: StoreReason =
    error === undefined ? (isReadOnly ? "ReadOnly" : "Reachable") : storeReasonOf(error, missing);
  const message =
    error === undefined
      ? `the store holds ${backups} ${backups === 1 ? "backup" : "backups"}${isReadOnly ? "; accessMode is ReadOnly: the operator writes nothing to it" : ""}${(probe.warnings ?? []).map((text) => `; ${text}`).join("")}`
      : withHint(error);
  const ready = {
    type: "Ready",
    status: error === undefined ? ("True" as const) : ("False" as const),
    reason,
    message,
  };
  const previous = store.status;
  const stamp = { generation, now };
  return {
    observedGeneration: generation,
    conditions: withWriter(setCondition(previous.conditions ?? [], ready, stamp), store, probe, stamp),
    lastProbeTime: wholeSeconds(now),
    ...fieldOf("url", url ?? previous.url),
    ...fieldOf("capabilities", capabilities ?? previous.capabilities),
    ...fieldOf("backups", backups ?? previous.backups),
    ...fieldOf("latestBackup", error === undefined ? latest : previous.latestBackup),
    ...fieldOf("catalog", probe.catalog ?? previous.catalog),
    ...fieldOf("verification", previous.verification),
    ...fieldOf("writer", previous.writer),
  };
}

/** A failed probe says nothing new about the writer. */
function withWriter(
  conditions: Condition[],
  { spec, status: { writer } }: EtcdBackupStore,
  { error, original }: StoreProbe,
  stamp: { generation: number; now: Date },
): Condition[] {
  if (spec.accessMode === "ReadOnly" || writer === undefined)
    return conditions.filter((c) => c.type !== "Writer");
  if (error !== undefined) return conditions;
  const type = "Writer";
  if (original === undefined) {
    const reason: StoreReason = "SoleWriter";
    const message = `the operator writes as writer ${writer.id}`;
    return setCondition(conditions, { type, status: "True", reason, message }, stamp);
  }
  const copy = `this Kubernetes cluster is a copy of the one whose operator writes as ${original.id}`;
  const reason: StoreReason = original.isAlive ? "CopyOfLivingWriter" : "CopyOfSilentWriter";
  const message = original.isAlive
    ? `${copy}, which is alive: as writer ${writer.id}, this operator writes and deletes nothing in its folders`
    : `${copy}, which is silent: the next backup of each etcd cluster takes its folder over, as writer ${writer.id}`;
  return setCondition(
    conditions,
    { type, status: original.isAlive ? "False" : "True", reason, message },
    stamp,
  );
}

function fieldOf<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}

/** Maps the error's code to a documented reason. */
function storeReasonOf(error: OperatorError, missing: StoreReason): StoreReason {
  switch (error.code) {
    case "NotFound":
      return missing;
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
