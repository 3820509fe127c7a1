import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdConnection } from "../../api/v1alpha1/etcd-connection.ts";
import { conditionStatus, isFinished, wholeSeconds } from "../conditions.ts";
import { placeForMs } from "../fair-line.ts";
import { OperatorError } from "../errors.ts";
import {
  type Fail,
  type Retry,
  type Wait,
  afterFailure,
  deadlineOf,
  reasonOf,
  timedOut,
  whileClaimed,
  whileUnknown,
} from "./failure.ts";
import { type ImportDecision, decideImport } from "./import.ts";
import type { ObservedBackup, ObservedRun, StoredBackup } from "./observed.ts";

/** Set on an EtcdBackup with `deletionPolicy: Delete`, and removed when the store holds none of its objects. */
export const finalizer = "etcdbackup.dev/stored-objects";
/** Annotation that releases an EtcdBackup whose store no longer exists. */
export const forceDelete = "etcdbackup.dev/force-delete";

/** The next action for one EtcdBackup. After a crash at any line, the next pass decides again on what it observes. */
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
  /** Look up in the store what the attempts stored, then decide again with the answer. */
  | { do: "lookUpStored" }
  /** Look up in the store who holds the folder, then decide again with the answer. */
  | { do: "lookAtFolder" }
  /** Keep the store from being deleted before the EtcdBackup. */
  | { do: "guardStore" }
  | { do: "start"; attempt: number; etcd: EtcdConnection }
  | { do: "reportProgress" }
  | { do: "succeed"; stored: StoredBackup }
  /** The operator stopped in the middle of an attempt that stored nothing. */
  | { do: "takeUpAgain" }
  | ImportDecision
  | Retry
  | Fail;

export function decide(observed: ObservedBackup, now: Date): BackupDecision {
  const { backup, run } = observed;
  const { metadata, spec, status } = backup;
  const hasFinalizer = metadata.finalizers?.includes(finalizer) === true;
  if (metadata.deletionTimestamp !== undefined) return decideDeletion(backup, run, hasFinalizer);

  if (isFinished(backup)) return decideFinished(backup);
  if (conditionStatus(status.conditions, "Succeeded") === undefined) return { do: "initialize" };
  if (spec.deletionPolicy === "Delete" && !hasFinalizer) return { do: "addFinalizer" };
  const { etcd, imported } = spec;
  if (imported !== undefined) {
    if (observed.store === "missing") return whileStoreMissing(observed, now);
    return decideImport(observed, imported.backup, now);
  }
  // The API server ensures that one of the two is set, unless its CRD is of another release.
  if (etcd === undefined)
    return { do: "fail", reason: "InvalidConfiguration", message: "spec has neither etcd nor imported" };
  return decideRun(observed, etcd, now);
}

/**
 * Whether nothing is left to do for this state of the object, without a look at anything else: it is finished, not being
 * deleted, and its generation and finalizer are as they have to be.
 */
export function isSettled(backup: EtcdBackup): boolean {
  if (backup.metadata.deletionTimestamp !== undefined || !isFinished(backup)) return false;
  return decideFinished(backup).do === "nothing";
}

function decideFinished({ metadata, spec, status }: EtcdBackup): BackupDecision {
  const hasFinalizer = metadata.finalizers?.includes(finalizer) === true;
  // deletionPolicy may change after the end. kstatus waits for a status with the new generation.
  if (status.observedGeneration !== metadata.generation) return { do: "restamp" };
  if (spec.deletionPolicy === "Delete")
    return hasFinalizer || status.artifact === undefined ? { do: "nothing" } : { do: "addFinalizer" };
  return hasFinalizer ? { do: "removeFinalizer" } : { do: "nothing" };
}

function decideDeletion(
  { metadata, spec, status }: EtcdBackup,
  run: ObservedRun,
  hasFinalizer: boolean,
): BackupDecision {
  if (run.state === "running" || run.state === "reserved")
    return { do: "cancel", why: "the EtcdBackup was deleted" };
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

function decideRun(observed: ObservedBackup, etcd: EtcdConnection, now: Date): BackupDecision {
  const { run } = observed;
  switch (run.state) {
    case "running":
      if (observed.store === "readOnly") return { do: "cancel", why: "the EtcdBackupStore became ReadOnly" };
      return isUnguarded(observed) ? { do: "guardStore" } : { do: "reportProgress" };
    case "reserved":
      // Without a writable store the attempt cannot begin, so its slot is released.
      return observed.store === "found" || observed.store === "notProbed"
        ? guardOrStart(observed, run.attempt, etcd)
        : { do: "cancel", why: "the EtcdBackupStore is missing, ReadOnly or being deleted" };
    case "succeeded":
      return { do: "succeed", stored: run.result };
    case "failed": {
      const { error } = run;
      // The last request of the run may have stored the backup. Another attempt would then store it twice.
      const ended = error.outcomeUnknown
        ? decideUnknownEnd(observed, error, now)
        : afterFailure(observed.backup, error, now);
      return ended.do === "fail" ? { ...ended, eventReason: reasonOf(error) } : ended;
    }
    case "none":
      return decideWithoutRun(observed, etcd, now);
    default:
      return run satisfies never;
  }
}

/** An attempt began, and only the store knows how it ended. `error`: how it failed, if it ran in this operator. */
function decideUnknownEnd(
  observed: ObservedBackup,
  error: OperatorError | undefined,
  now: Date,
): BackupDecision {
  const { backup, stored } = observed;
  switch (stored.state) {
    case "notAsked":
      return observed.store === "missing" ? whileStoreMissing(observed, now) : { do: "lookUpStored" };
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

function decideWithoutRun(observed: ObservedBackup, etcd: EtcdConnection, now: Date): BackupDecision {
  const { backup, store, freeSlots, folder } = observed;
  const { spec, status } = backup;
  const attempts = status.attempts ?? 0;
  if (store === "missing") return whileStoreMissing(observed, now);
  const next = status.nextAttemptTime === undefined ? undefined : new Date(status.nextAttemptTime);
  // An attempt began, none is planned, and no run exists: the operator of that attempt stopped in the middle of it.
  if (attempts > 0 && next === undefined) return decideUnknownEnd(observed, undefined, now);
  if (store === "readOnly") {
    const message = `EtcdBackupStore ${spec.storeRef.name} has accessMode ReadOnly: the operator writes nothing to it`;
    return { do: "fail", reason: "StoreNotReady", message };
  }
  if (store === "deleting") return whileStoreMissing(observed, now);
  if (isLate(backup, now)) return timedOut(spec.timeoutSeconds, currentMessage(status));
  if (next !== undefined && next > now) {
    const ms = next.getTime() - now.getTime();
    return { do: "wait", ms, reason: "Retrying", message: currentMessage(status), warn: false };
  }
  if (store === "notProbed") return whileNotProbed(spec.storeRef.name);
  if (freeSlots <= 0) return whileNoSlot(observed, now);
  switch (folder.state) {
    case "notAsked":
      return { do: "lookAtFolder" };
    case "claimed":
      return whileClaimed(folder.error, folder.freeInMs);
    case "free":
      return guardOrStart(observed, attempts + 1, etcd);
    default:
      return folder satisfies never;
  }
}

/** The store wakes the EtcdBackup when the operator has given it a writer. */
function whileNotProbed(store: string): Wait {
  const message = `the operator has not probed EtcdBackupStore ${store} yet`;
  return { do: "wait", ms: 5_000, reason: "StoreNotReady", message, warn: false };
}

/** A store that could be deleted first would leave the EtcdBackup with a stored backup that nothing can delete. */
function guardOrStart(observed: ObservedBackup, attempt: number, etcd: EtcdConnection): BackupDecision {
  return isUnguarded(observed) ? { do: "guardStore" } : { do: "start", attempt, etcd };
}

function isUnguarded({ backup, store, isStoreGuarded }: ObservedBackup): boolean {
  const isWritten = store === "found" || store === "notProbed";
  return backup.spec.deletionPolicy === "Delete" && isWritten && !isStoreGuarded;
}

/** The turn wakes the EtcdBackup. It is looked at again only to renew the place, and at its deadline. */
function whileNoSlot({ backup: { spec, status }, place, behind }: ObservedBackup, now: Date): Wait {
  const other = behind?.name === undefined ? "another backup" : `EtcdBackup ${behind.name}`;
  const message =
    behind === undefined
      ? `the operator waits for a free slot: place ${place}; --max-concurrent-backups limits how many backups run at once`
      : `the operator waits for ${other} of the same etcd, which is read by one backup at a time`;
  const leftMs = deadlineOf(spec.timeoutSeconds, status, now).getTime() - now.getTime();
  const ms = status.startTime === undefined ? placeForMs : Math.min(placeForMs, leftMs);
  return { do: "wait", ms, reason: "Pending", message, warn: false, forSlot: true };
}

function whileStoreMissing({ backup, store }: ObservedBackup, now: Date): Wait | Fail {
  const { timeoutSeconds, storeRef } = backup.spec;
  const { waitingSince } = backup.status;
  const since = waitingSince === undefined ? now : new Date(waitingSince);
  const state = store === "deleting" ? "is being deleted" : "does not exist in this namespace";
  const missing = `EtcdBackupStore ${storeRef.name} ${state}; the operator has waited for it`;
  const message = `${missing} since ${waitingSince ?? wholeSeconds(now)}: create it, or delete this EtcdBackup`;
  return isLate(backup, now)
    ? timedOut(timeoutSeconds, message)
    : { do: "wait", ms: 30_000, reason: "StoreNotReady", message, warn: true, since };
}

/** Whether the deadline has passed. The time counts from the first attempt. */
function isLate({ spec, status }: EtcdBackup, now: Date): boolean {
  return status.startTime !== undefined && now >= deadlineOf(spec.timeoutSeconds, status, now);
}

function currentMessage(status: EtcdBackupStatus): string {
  return status.conditions?.find((c) => c.type === "Succeeded")?.message ?? "";
}
