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
  /** Reason of the event where it says more than that of the condition. */
  eventReason?: BackupReason;
}

export interface Wait {
  do: "wait";
  ms: number;
  reason: BackupReason;
  message: string;
  /** A person may have to act: the wait is recorded as an event as well. */
  warn: boolean;
}

const delay = { baseMs: 10_000, maxMs: 6 * 60_000 };

/** The end of an attempt that failed, also of one whose operator stopped. */
export function afterFailure({ spec, status }: EtcdBackup, error: OperatorError, now: Date): Retry | Fail {
  const attempts = status.attempts ?? 1;
  if (error.permanent) return { do: "fail", reason: reasonOf(error), message: withHint(error) };
  const deadline = deadlineOf(spec.timeoutSeconds, status, now);
  if (now >= deadline) return timedOut(spec.timeoutSeconds, withHint(error));
  if (attempts > spec.backoffLimit) {
    return {
      do: "fail",
      reason: "BackoffLimitExceeded",
      message: `${attempts} ${attempts === 1 ? "attempt" : "attempts"} failed; the last: ${withHint(error)}`,
    };
  }
  const at = new Date(now.getTime() + backoffMs(attempts, delay));
  // An attempt that begins at the deadline could only time out, and would hide why the others failed.
  if (at >= deadline)
    return {
      do: "fail",
      reason: "TimedOut",
      message: `no time is left for another attempt within ${spec.timeoutSeconds} s; the last: ${withHint(error)}`,
    };
  return { do: "retry", at, error };
}

/**
 * An attempt ended, or its operator did, and the store does not say whether the backup is stored. Another attempt could
 * store it a second time, so it waits for the answer until the deadline. `ended`: how the attempt ended, where this
 * operator knows.
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
      : `attempt ${attempt} failed with its last request under way: ${ended.message}`;
  const message = `${how}; what it stored cannot be looked for: ${withHint(error)}`;
  if (error.permanent) return { do: "fail", reason: reasonOf(error), message };
  const leftMs = deadlineOf(spec.timeoutSeconds, status, now).getTime() - now.getTime();
  if (leftMs <= 0) return timedOut(spec.timeoutSeconds, message);
  const reason = ended === undefined ? "OperatorRestarted" : reasonOf(ended);
  return { do: "wait", ms: Math.min(delay.baseMs, leftMs), reason, message, warn: true };
}

export function timedOut(timeoutSeconds: number, last: string): Fail {
  return {
    do: "fail",
    reason: "TimedOut",
    message: `not finished within ${timeoutSeconds} s; the last: ${last}`,
  };
}

/** When the run must have ended, all attempts together. */
export function deadlineOf(timeoutSeconds: number, status: EtcdBackupStatus, now: Date): Date {
  const start = Date.parse(status.startTime ?? "");
  // The API server accepts more date-times than Date.parse.
  return new Date((Number.isNaN(start) ? now.getTime() : start) + timeoutSeconds * 1000);
}

/** The error's code as a documented reason. */
export function reasonOf(error: OperatorError): BackupReason {
  switch (error.code) {
    case "NoUsableMember":
    case "MembersDisagree":
    case "SnapshotFailed":
    case "VerificationFailed":
    case "InvalidConfiguration":
    case "CredentialsNotFound":
    case "Unauthorized":
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
