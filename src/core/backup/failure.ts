import type { BackupReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import { backoffMs } from "../backoff.ts";
import { type OperatorError, withHint } from "../errors.ts";

export interface Retry {
  do: "retry";
  at: Date;
  error: OperatorError;
}

export interface Fail {
  do: "fail";
  reason: BackupReason;
  message: string;
  /** The reason of the event, where it is more precise than the condition's. */
  eventReason?: BackupReason;
}

export interface Wait {
  do: "wait";
  ms: number;
  reason: BackupReason;
  message: string;
  /** Whether the wait is also recorded as an event, since a person may have to act. */
  warn: boolean;
  /** Whether the wait is for a slot: a place in the line is kept for it, and its turn wakes it. */
  forSlot?: true;
  /** Since when the wait is for the EtcdBackupStore to exist. */
  since?: Date;
}

const delay = { baseMs: 10_000, maxMs: 6 * 60_000 };

/** Decides what follows a failed attempt, or one that ended with its operator: another attempt, or the end. */
export function afterFailure({ spec, status }: EtcdBackup, error: OperatorError, now: Date): Retry | Fail {
  const attempts = status.attempts ?? 1;
  if (error.permanent) return { do: "fail", reason: reasonOf(error), message: withHint(error) };
  const deadline = deadlineOf(spec.timeoutSeconds, status, now);
  if (now >= deadline) return timedOut(spec.timeoutSeconds, withHint(error));
  if (attempts > spec.backoffLimit) {
    return {
      do: "fail",
      reason: "BackoffLimitExceeded",
      message: `${attempts} ${attempts === 1 ? "attempt" : "attempts"} failed; the last error: ${withHint(error)}`,
    };
  }
  const at = new Date(now.getTime() + backoffMs(attempts, delay));
  // An attempt that begins at the deadline can only time out, and its error would replace the cause of the failure.
  if (at >= deadline)
    return {
      do: "fail",
      reason: "TimedOut",
      message: `no time is left for another attempt within ${spec.timeoutSeconds} s; the last error: ${withHint(error)}`,
    };
  return { do: "retry", at, error };
}

/**
 * Decides while the store does not answer whether an attempt stored the backup. Another attempt could store it twice,
 * so none begins until the store answers or the deadline passes. `error`: why the store does not answer. `ended`: how
 * the attempt failed, if it ran in this operator.
 */
export function whileUnknown(
  { spec, status }: EtcdBackup,
  error: OperatorError,
  now: Date,
  ended?: OperatorError,
): Wait | Fail {
  const attempt = status.attempts ?? 1;
  const how =
    ended === undefined
      ? `the operator stopped in the middle of attempt ${attempt}`
      : `attempt ${attempt} failed before the store answered its last request: ${ended.message}`;
  const message = `${how}; it is unknown what the attempt stored: ${withHint(error)}`;
  if (error.permanent) return { do: "fail", reason: reasonOf(error), message };
  const leftMs = deadlineOf(spec.timeoutSeconds, status, now).getTime() - now.getTime();
  if (leftMs <= 0) return timedOut(spec.timeoutSeconds, message);
  if (error.code === "FolderClaimed") return whileClaimed(error, Math.min(leftMs, claimed.mostMs));
  const reason = ended === undefined ? "OperatorRestarted" : reasonOf(ended);
  return { do: "wait", ms: Math.min(delay.baseMs, leftMs), reason, message, warn: true };
}

/** Milliseconds between two looks at a folder that another writer holds: at least, and at most. */
const claimed = { leastMs: 5_000, mostMs: 2 * 60_000 };

/** Another writer holds the folder. It may be gone for good, so the backup waits, and no attempt is counted. */
export function whileClaimed(error: OperatorError, freeInMs: number): Wait {
  const ms = Math.min(Math.max(freeInMs, claimed.leastMs), claimed.mostMs);
  return { do: "wait", ms, reason: "FolderClaimed", message: withHint(error), warn: true };
}

export function timedOut(timeoutSeconds: number, last: string): Fail {
  return {
    do: "fail",
    reason: "TimedOut",
    message: `the backup did not finish within ${timeoutSeconds} s; the last message: ${last}`,
  };
}

/** The time at which the run must have ended, all attempts together. */
export function deadlineOf(timeoutSeconds: number, status: EtcdBackupStatus, now: Date): Date {
  const start = Date.parse(status.startTime ?? "");
  // The API server accepts date-times that Date.parse does not.
  return new Date((Number.isNaN(start) ? now.getTime() : start) + timeoutSeconds * 1000);
}

/** Maps the error's code to a documented reason. */
export function reasonOf(error: OperatorError): BackupReason {
  switch (error.code) {
    case "NoUsableMember":
    case "MembersDisagree":
    case "SnapshotFailed":
    case "VerificationFailed":
    case "InvalidConfiguration":
    case "CredentialsNotFound":
    case "Unauthorized":
    case "FolderClaimed":
      return error.code;
    case "Usage":
    case "Refused":
      return "InvalidConfiguration";
    case "StoreFailed":
    case "AlreadyExists":
      return "UploadFailed";
    case "NotFound":
      return "StoreNotReady";
    case "Unreachable":
    case "Conflict":
      return "SnapshotFailed";
    case "Timeout":
      return "TimedOut";
    case "Aborted":
      return "OperatorRestarted";
    case "Internal":
      return "InternalError";
    default:
      return error.code satisfies never;
  }
}
