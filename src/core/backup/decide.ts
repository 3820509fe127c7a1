import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import { conditionStatus } from "../conditions.ts";
import { OperatorError } from "../errors.ts";
import {
  type Fail,
  type Retry,
  type Wait,
  afterFailure,
  deadlineOf,
  reasonOf,
  timedOut,
  whileUnknown,
} from "./failure.ts";
import type { ObservedBackup, ObservedRun, StoredBackup } from "./observed.ts";

/** Put on an EtcdBackup with `deletionPolicy: Delete`; removed when its objects are deleted from the store. */
export const finalizer = "etcdbackup.dev/stored-objects";
/** Annotation that releases an EtcdBackup whose store no longer exists. */
export const forceDelete = "etcdbackup.dev/force-delete";

/** What to do next with one EtcdBackup. A crash at any line is survived by deciding again on what can be observed. */
export type BackupDecision =
  | { do: "nothing" }
  | { do: "initialize" }
  | { do: "restamp" }
  | { do: "addFinalizer" }
  | { do: "removeFinalizer" }
  /** Say in status that the stored backup is being deleted, before it is. */
  | { do: "recordDeleting" }
  | { do: "deleteStored" }
  | { do: "cancel"; why: string }
  | Wait
  /** Ask the store what the attempts stored, then decide again with the answer. */
  | { do: "lookUpStored" }
  | { do: "start"; attempt: number }
  | { do: "reportProgress" }
  | { do: "succeed"; stored: StoredBackup }
  /** The operator stopped in the middle of an attempt that stored nothing. */
  | { do: "takeUpAgain" }
  | Retry
  | Fail;

export function decide(observed: ObservedBackup, now: Date): BackupDecision {
  const { backup, run } = observed;
  const { metadata, spec, status } = backup;
  const hasFinalizer = metadata.finalizers?.includes(finalizer) === true;
  if (metadata.deletionTimestamp !== undefined) return decideDeletion(backup, run, hasFinalizer);

  if (conditionStatus(status.conditions, "Finished") === "True") {
    // deletionPolicy may change after the end; kstatus waits for a status that has seen it.
    if (status.observedGeneration !== metadata.generation) return { do: "restamp" };
    if (spec.deletionPolicy === "Delete")
      return hasFinalizer || status.artifact === undefined ? { do: "nothing" } : { do: "addFinalizer" };
    return hasFinalizer ? { do: "removeFinalizer" } : { do: "nothing" };
  }
  if (conditionStatus(status.conditions, "Succeeded") === undefined) return { do: "initialize" };
  if (spec.deletionPolicy === "Delete" && !hasFinalizer) return { do: "addFinalizer" };
  return decideRun(observed, run, now);
}

function decideDeletion(
  { metadata, spec, status }: EtcdBackup,
  run: ObservedRun,
  hasFinalizer: boolean,
): BackupDecision {
  if (run.state === "running") return { do: "cancel", why: "the EtcdBackup was deleted" };
  if (!hasFinalizer) return { do: "nothing" };
  const forced = (metadata.annotations?.[forceDelete] ?? "false") !== "false";
  const mayHaveStored = spec.deletionPolicy === "Delete" && (status.attempts ?? 0) > 0;
  if (!mayHaveStored || forced) return { do: "removeFinalizer" };
  return isDeleting(status) ? { do: "deleteStored" } : { do: "recordDeleting" };
}

/** A blocked deletion keeps its status until it succeeds: two statuses in turn would wake the controller for ever. */
function isDeleting({ conditions = [] }: EtcdBackupStatus): boolean {
  return conditions.some(({ reason }) => reason === "Deleting" || reason === "DeletionBlocked");
}

function decideRun(observed: ObservedBackup, run: ObservedRun, now: Date): BackupDecision {
  switch (run.state) {
    case "running":
      return observed.store === "readOnly"
        ? { do: "cancel", why: "the EtcdBackupStore became ReadOnly" }
        : { do: "reportProgress" };
    case "reserved":
      // Nothing can be stored now, so the slot is released.
      return observed.store === "found"
        ? { do: "start", attempt: run.attempt }
        : { do: "cancel", why: "the EtcdBackupStore is missing or ReadOnly" };
    case "succeeded":
      return { do: "succeed", stored: run.result };
    case "failed": {
      const { error } = run;
      // Its last request may have stored the backup, and another attempt would store it a second time.
      const ended = error.outcomeUnknown
        ? decideUnknownEnd(observed, error, now)
        : afterFailure(observed.backup, error, now);
      return ended.do === "fail" ? { ...ended, eventReason: reasonOf(error) } : ended;
    }
    case "none":
      return decideWithoutRun(observed, now);
    default:
      return run satisfies never;
  }
}

/** An attempt was begun, and only the store says how it ended. `error`: how it failed, where this operator saw it. */
function decideUnknownEnd(
  { backup, store, stored }: ObservedBackup,
  error: OperatorError | undefined,
  now: Date,
): BackupDecision {
  switch (stored.state) {
    case "notAsked":
      return store === "missing" ? whileStoreMissing(backup, now) : { do: "lookUpStored" };
    case "found":
      return { do: "succeed", stored: stored.backup };
    case "unknown":
      return whileUnknown(backup, stored.error, now, error);
    case "absent": {
      if (error !== undefined) return afterFailure(backup, error, now);
      const stopped = new OperatorError("Aborted", "the operator stopped in the middle of the attempt");
      const next = afterFailure(backup, stopped, now);
      return next.do === "fail" ? next : { do: "takeUpAgain" };
    }
    default:
      return stored satisfies never;
  }
}

function decideWithoutRun(observed: ObservedBackup, now: Date): BackupDecision {
  const { backup, store, freeSlots } = observed;
  const { spec, status } = backup;
  const attempts = status.attempts ?? 0;
  if (store === "missing") return whileStoreMissing(backup, now);
  const next = status.nextAttemptTime === undefined ? undefined : new Date(status.nextAttemptTime);
  // An attempt was begun, no other is planned, and no run is known: its operator stopped in the middle of it.
  if (attempts > 0 && next === undefined) return decideUnknownEnd(observed, undefined, now);
  if (store === "readOnly") {
    const message = `EtcdBackupStore ${spec.storeRef.name} has accessMode ReadOnly: nothing is written there`;
    return { do: "fail", reason: "StoreNotReady", message };
  }
  if (isLate(backup, now)) return timedOut(spec.timeoutSeconds, currentMessage(status));
  if (next !== undefined && next > now) {
    const ms = next.getTime() - now.getTime();
    return { do: "wait", ms, reason: "Retrying", message: currentMessage(status), warn: false };
  }
  if (freeSlots <= 0) {
    const message = "waiting until one of the running backups has ended";
    return { do: "wait", ms: 15_000, reason: "Pending", message, warn: false };
  }
  return { do: "start", attempt: attempts + 1 };
}

function whileStoreMissing(backup: EtcdBackup, now: Date): Wait | Fail {
  const { timeoutSeconds, storeRef } = backup.spec;
  const message = `waiting for EtcdBackupStore ${storeRef.name} in this namespace`;
  return isLate(backup, now)
    ? timedOut(timeoutSeconds, message)
    : { do: "wait", ms: 30_000, reason: "StoreNotReady", message, warn: true };
}

/** Before the first attempt nothing is late. */
function isLate({ spec, status }: EtcdBackup, now: Date): boolean {
  return status.startTime !== undefined && now >= deadlineOf(spec.timeoutSeconds, status, now);
}

function currentMessage(status: EtcdBackupStatus): string {
  return status.conditions?.find((c) => c.type === "Succeeded")?.message ?? "";
}
