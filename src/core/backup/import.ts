import type { BackupReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { wholeSeconds } from "../conditions.ts";
import { type OperatorError, withHint } from "../errors.ts";
import { type Fail, type Wait, deadlineOf, reasonOf } from "./failure.ts";
import type { ObservedBackup, StoredBackup } from "./observed.ts";

/** The next action for an EtcdBackup that records a stored backup. It has no run and takes no slot. */
export type ImportDecision =
  /** Read the manifest of the backup in the store, then decide again with the answer. */
  { do: "lookUpImported"; name: string } | { do: "recordImported"; stored: StoredBackup } | LookAgain;

/** The backup is not in the store, or the store cannot be read. */
export interface LookAgain {
  do: "lookAgain";
  at: Date;
  message: string;
  eventReason: BackupReason;
}

/** Milliseconds. Each wait is as long as all before it together, within these bounds, so waits double. */
const delay = { leastMs: 10_000, mostMs: 6 * 60_000 };

/** Decides while the EtcdBackupStore exists; it may be ReadOnly. */
export function decideImport(
  { backup, stored }: ObservedBackup,
  name: string,
  now: Date,
): ImportDecision | Wait | Fail {
  switch (stored.state) {
    case "notAsked":
      return untilNextLook(backup, now) ?? { do: "lookUpImported", name };
    case "found":
      return { do: "recordImported", stored: stored.backup };
    case "absent": {
      const { storeRef, clusterName } = backup.spec;
      const message = `EtcdBackupStore ${storeRef.name} holds no backup ${name} of cluster ${clusterName}`;
      return afterLook(backup, { message, eventReason: "BackupNotFound", atLast: "BackupNotFound" }, now);
    }
    case "unknown": {
      const { error } = stored;
      const message = `the imported backup cannot be read: ${withHint(error)}`;
      const eventReason = reasonOfRead(error);
      if (error.permanent) return { do: "fail", reason: eventReason, message };
      return afterLook(backup, { message, eventReason, atLast: "TimedOut" }, now);
    }
    default:
      return stored satisfies never;
  }
}

function untilNextLook({ status }: EtcdBackup, now: Date): Wait | undefined {
  const succeeded = status.conditions?.find(({ type }) => type === "Succeeded");
  const ms = Date.parse(status.nextAttemptTime ?? "") - now.getTime();
  // After another wait, for the EtcdBackupStore to exist, the operator looks at once.
  if (succeeded?.reason !== "Retrying" || !(ms > 0)) return undefined;
  return { do: "wait", ms, reason: "Retrying", message: succeeded.message, warn: false };
}

/** The time counts from the first look. */
function afterLook(
  { spec, status }: EtcdBackup,
  { message, eventReason, atLast }: { message: string; eventReason: BackupReason; atLast: BackupReason },
  now: Date,
): LookAgain | Fail {
  const deadline = deadlineOf(spec.timeoutSeconds, status, now);
  const leftMs = deadline.getTime() - now.getTime();
  if (leftMs <= 0)
    return {
      do: "fail",
      reason: atLast,
      message: `${message}; the operator has looked for ${spec.timeoutSeconds} s`,
      eventReason,
    };
  const elapsedMs = spec.timeoutSeconds * 1000 - leftMs;
  const ms = Math.min(leftMs, delay.mostMs, Math.max(delay.leastMs, elapsedMs));
  return {
    do: "lookAgain",
    at: new Date(now.getTime() + ms),
    message: `${message}; the operator looks again until ${wholeSeconds(deadline)}`,
    eventReason,
  };
}

/** As `reasonOf`, which takes an error for one of a snapshot or an upload. */
function reasonOfRead(error: OperatorError): BackupReason {
  switch (error.code) {
    case "Unreachable":
    case "StoreFailed":
    case "Timeout":
    case "Conflict":
      return "StoreNotReady";
    default:
      return reasonOf(error);
  }
}
