import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { BackupReason } from "../../api/v1alpha1/conditions.ts";
import { conditionStatus } from "../conditions.ts";
import { OperatorError } from "../errors.ts";

/** Put on an EtcdBackup with `deletionPolicy: Delete`; goes when its objects are gone from the store. */
export const finalizer = "etcdbackup.dev/stored-objects";
/** Annotation that lets a person delete the resource when its store is gone for good. */
export const forceDelete = "etcdbackup.dev/force-delete";

export interface ObservedBackup {
  backup: EtcdBackup;
  /** Its EtcdBackupStore. */
  store: "found" | "missing" | "readOnly";
  /** In this process. Reserved: an attempt was begun in status, or may have been, and has not run. */
  run: "none" | "reserved" | "running" | "succeeded" | "failed";
  /** Of the reserved run. */
  attempt?: number;
  failure?: OperatorError;
  /** How many more runs this process may start. */
  freeSlots: number;
}

/** What to do next with one EtcdBackup. Replaying it on what can be observed survives a crash at any line. */
export type BackupDecision =
  | { do: "nothing" }
  | { do: "initialise" }
  | { do: "restamp" }
  | { do: "addFinalizer" }
  | { do: "removeFinalizer" }
  | { do: "removeObjects" }
  | { do: "cancel"; why: string }
  | { do: "wait"; ms: number; reason: BackupReason; message: string }
  | { do: "recover" }
  | { do: "start"; attempt: number }
  | { do: "watch" }
  | { do: "succeed" }
  | { do: "retry"; at: Date; error: OperatorError }
  | { do: "fail"; reason: BackupReason; message: string };

const firstDelayMs = 10_000;
const longestDelayMs = 6 * 60_000;

export function decide(observed: ObservedBackup, now: Date): BackupDecision {
  const { backup, run } = observed;
  const { metadata, spec, status } = backup;
  const held = metadata.finalizers?.includes(finalizer) === true;
  if (metadata.deletionTimestamp !== undefined) return decideDeletion(backup, run, held);

  if (conditionStatus(status.conditions, "Finished") === "True") {
    // deletionPolicy may change after the end; kstatus waits for a status that has seen it.
    if (status.observedGeneration !== metadata.generation) return { do: "restamp" };
    if (spec.deletionPolicy === "Delete")
      return held || status.artifact === undefined ? { do: "nothing" } : { do: "addFinalizer" };
    return held ? { do: "removeFinalizer" } : { do: "nothing" };
  }
  if (conditionStatus(status.conditions, "Succeeded") === undefined) return { do: "initialise" };
  if (spec.deletionPolicy === "Delete" && !held) return { do: "addFinalizer" };

  switch (run) {
    case "running":
      return observed.store === "readOnly"
        ? { do: "cancel", why: "the EtcdBackupStore became ReadOnly" }
        : { do: "watch" };
    case "reserved":
      // It gives its slot back: nothing could be stored now.
      if (observed.store !== "found")
        return { do: "cancel", why: "the EtcdBackupStore is missing or ReadOnly" };
      return { do: "start", attempt: observed.attempt ?? (status.attempts ?? 0) + 1 };
    case "succeeded":
      return { do: "succeed" };
    case "failed": {
      const failure = observed.failure ?? new OperatorError("Internal", "the run failed without a reason");
      if (!failure.outcomeUnknown) return afterFailure(backup, failure, now);
      // It may have stored the backup all the same, and another attempt would store it a second time.
      return observed.store === "missing" ? whileStoreMissing(backup, now) : { do: "recover" };
    }
    case "none":
      return decideStart(observed, now);
    default:
      return run satisfies never;
  }
}

function decideDeletion(
  { metadata, spec, status }: EtcdBackup,
  run: ObservedBackup["run"],
  held: boolean,
): BackupDecision {
  if (run === "running") return { do: "cancel", why: "the EtcdBackup was deleted" };
  if (!held) return { do: "nothing" };
  const forced = (metadata.annotations?.[forceDelete] ?? "false") !== "false";
  const owed = spec.deletionPolicy === "Delete" && (status.attempts ?? 0) > 0;
  return owed && !forced ? { do: "removeObjects" } : { do: "removeFinalizer" };
}

function decideStart({ backup, store, freeSlots }: ObservedBackup, now: Date): BackupDecision {
  const { spec, status } = backup;
  const attempts = status.attempts ?? 0;
  if (store === "missing") return whileStoreMissing(backup, now);
  const next = status.nextAttemptTime === undefined ? undefined : new Date(status.nextAttemptTime);
  // An attempt was begun, no other is planned, and no run is known: the operator stopped in the middle of it.
  if (attempts > 0 && next === undefined) return { do: "recover" };
  if (store === "readOnly") {
    const message = `EtcdBackupStore ${spec.storeRef.name} has accessMode ReadOnly: nothing is written there`;
    return { do: "fail", reason: "StoreNotReady", message };
  }
  if (isLate(backup, now)) return timedOut(spec.timeoutSeconds, currentMessage(status));
  if (next !== undefined && next > now) {
    return {
      do: "wait",
      ms: next.getTime() - now.getTime(),
      reason: "Retrying",
      message: currentMessage(status),
    };
  }
  if (freeSlots <= 0) {
    return {
      do: "wait",
      ms: 15_000,
      reason: "Pending",
      message: "waiting until one of the running backups has ended",
    };
  }
  return { do: "start", attempt: attempts + 1 };
}

function whileStoreMissing(backup: EtcdBackup, now: Date): BackupDecision {
  const { timeoutSeconds, storeRef } = backup.spec;
  const message = `waiting for EtcdBackupStore ${storeRef.name} in this namespace`;
  return isLate(backup, now)
    ? timedOut(timeoutSeconds, message)
    : { do: "wait", ms: 30_000, reason: "StoreNotReady", message };
}

/** Before the first attempt nothing is late. */
function isLate({ spec, status }: EtcdBackup, now: Date): boolean {
  return status.startTime !== undefined && now >= deadlineOf(spec.timeoutSeconds, status, now);
}

function timedOut(seconds: number, last: string): BackupDecision & { do: "fail" } {
  return { do: "fail", reason: "TimedOut", message: `not finished within ${seconds} s; the last: ${last}` };
}

function currentMessage(status: EtcdBackupStatus): string {
  return status.conditions?.find((c) => c.type === "Succeeded")?.message ?? "";
}

/** Also for an attempt that the operator itself did not survive. */
export function afterFailure({ spec, status }: EtcdBackup, error: OperatorError, now: Date): BackupDecision {
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
  const at = new Date(now.getTime() + Math.min(firstDelayMs * 2 ** (attempts - 1), longestDelayMs));
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
 * An attempt has ended, or the operator that began it, and the store does not say whether it had finished. Another
 * attempt has to wait for the answer, since it could store the backup a second time; after the deadline nobody waits
 * any more. `ended`: how the attempt ended, where this operator knows.
 */
export function whileUnknown(
  { spec, status }: EtcdBackup,
  error: OperatorError,
  now: Date,
  ended?: OperatorError,
): BackupDecision & { do: "wait" | "fail" } {
  const attempt = status.attempts ?? 1;
  const how =
    ended === undefined
      ? `the operator stopped in the middle of attempt ${attempt}`
      : `attempt ${attempt} failed with its last request under way: ${ended.message}`;
  const message = `${how}; what it stored cannot be looked for: ${withHint(error)}`;
  if (error.permanent) return { do: "fail", reason: reasonOf(error), message };
  const left = deadlineOf(spec.timeoutSeconds, status, now).getTime() - now.getTime();
  if (left <= 0) return timedOut(spec.timeoutSeconds, message);
  const reason = ended === undefined ? "OperatorRestarted" : reasonOf(ended);
  return { do: "wait", ms: Math.min(firstDelayMs, left), reason, message };
}

/** When the run has to have ended, all attempts together. */
export function deadlineOf(timeoutSeconds: number, status: EtcdBackupStatus, now: Date): Date {
  const start = Date.parse(status.startTime ?? "");
  // What the API server takes for a date-time is more than what this parses.
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

export function withHint(error: OperatorError): string {
  return error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
}

/**
 * The run's identity in object names: 12 hex digits of the resource's UID, then the attempt. A new operator finds by it
 * what an earlier one had finished.
 */
export function runIdOf(uid: string, attempt: number): string {
  return `${runPrefix(uid)}${attempt}`;
}

export function runPrefix(uid: string): string {
  return `${uid.replaceAll("-", "").toLowerCase().slice(0, 12)}x`;
}
