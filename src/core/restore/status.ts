import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { type Outcome, runConditions, wholeSeconds } from "../conditions.ts";
import { bytes, duration } from "../human.ts";
import { memberName, volumeName } from "./names.ts";
import type { RestoredMember } from "./observed.ts";

/** The whole next status, since the status is applied whole. */
export function restoreChanged(
  { status, metadata: { generation } }: EtcdRestore,
  change: { outcome: Outcome; reason: RestoreReason; message: string },
  now: Date,
): EtcdRestoreStatus {
  const conditions = runConditions(status.conditions ?? [], change.outcome, change, { generation, now });
  return { ...status, observedGeneration: generation, conditions };
}

function inProgress(
  restore: EtcdRestore,
  reason: RestoreReason,
  message: string,
  now: Date,
): EtcdRestoreStatus {
  return restoreChanged(restore, { outcome: "InProgress", reason, message }, now);
}

export function restoreInitialized(restore: EtcdRestore, now: Date): EtcdRestoreStatus {
  return {
    ...inProgress(restore, "Pending", "the operator starts the restore when a slot is free", now),
    startTime: restore.status.startTime ?? wholeSeconds(now),
  };
}

/** The status that is written before the work of a step begins. It counts the attempt. */
export function workBegun(restore: EtcdRestore, step: "verify" | "prove", now: Date): EtcdRestoreStatus {
  const [reason, message] = (
    {
      verify: ["Verifying", "the operator is reading the whole backup and comparing every digest"],
      prove: ["Proving", "the operator is comparing the members with one another and with the backup"],
    } as const
  )[step];
  const { nextAttemptTime: _, ...status } = inProgress(restore, reason, message, now);
  return { ...status, attempts: (restore.status.attempts ?? 0) + 1 };
}

export function verifying(
  restore: EtcdRestore,
  read: { bytes: number; totalBytes: number },
  now: Date,
): EtcdRestoreStatus {
  const message = `the operator has read ${bytes(read.bytes)} of ${bytes(read.totalBytes)} of the backup`;
  return inProgress(restore, "Verifying", message, now);
}

/** The status once the backup is verified. Source, token and member names are fixed from here on. */
export function verified(
  restore: EtcdRestore,
  { source, token }: { source: NonNullable<EtcdRestoreStatus["source"]>; token: string },
  now: Date,
): EtcdRestoreStatus {
  const {
    attempts: _,
    nextAttemptTime: __,
    ...status
  } = inProgress(
    restore,
    "CreatingVolumes",
    `backup ${source.name} is verified; the operator is creating the volumes`,
    now,
  );
  const members = Array.from({ length: restore.spec.target.cluster.replicas }, (_unused, index) => ({
    name: memberName(restore, index),
    volume: volumeName(restore, index),
    phase: "Pending" as const,
    attempts: 0,
  }));
  const next = { ...status, source, token, members, verifiedTime: wholeSeconds(now) };
  return withDurations(next, now);
}

/** The status with the phase and the attempts of each member, by its Job. */
export function membersSeen(
  restore: EtcdRestore,
  observed: readonly RestoredMember[],
  { reason, message }: { reason: RestoreReason; message: string },
  now: Date,
): EtcdRestoreStatus {
  const members = (restore.status.members ?? []).map((member, index) => {
    const job = observed[index]?.job;
    if (job === undefined || job.state === "none" || job.state === "foreign") return member;
    const phase = job.state === "succeeded" ? ("Restored" as const) : ("Restoring" as const);
    return { ...member, phase, attempts: job.attempt };
  });
  return { ...inProgress(restore, reason, message, now), members };
}

export function membersRestored(
  restore: EtcdRestore,
  observed: readonly RestoredMember[],
  now: Date,
): EtcdRestoreStatus {
  const change = {
    reason: "StartingCluster",
    message: "every volume holds the data; the operator is starting the members",
  } as const;
  const { nextAttemptTime: _, attempts: __, ...status } = membersSeen(restore, observed, change, now);
  return withDurations({ ...status, restoredTime: wholeSeconds(now) }, now);
}

export function clusterRunning(restore: EtcdRestore, now: Date): EtcdRestoreStatus {
  const message = "every member is ready; the operator is comparing them";
  const { attempts: _, ...status } = inProgress(restore, "Proving", message, now);
  return withDurations({ ...status, runningTime: wholeSeconds(now) }, now);
}

export function restoreSucceeded(
  restore: EtcdRestore,
  verification: NonNullable<EtcdRestoreStatus["verification"]>,
  now: Date,
): EtcdRestoreStatus {
  const { members, keys, alarms = [] } = verification;
  const raised = alarms.length === 0 ? "" : `; these alarms are still raised: ${alarms.join(", ")}`;
  const count = `${members.length} ${members.length === 1 ? "member" : "members"}`;
  const message = `the new cluster runs: ${count} with equal HashKV, and ${keys} keys as in the backup${raised}`;
  const status = restoreChanged(restore, { outcome: "Succeeded", reason: "Succeeded", message }, now);
  return ended({ ...status, verification, endRecord: { state: "Pending", attempts: 0 } }, now);
}

/** The status once the store holds the record of the end. */
export function endRecorded({ status }: EtcdRestore): EtcdRestoreStatus {
  const attempts = (status.endRecord?.attempts ?? 0) + 1;
  return { ...status, endRecord: { state: "Written", attempts } };
}

/** The status after a failed attempt to record the end. The outcome of the restore does not change. */
export function endNotRecorded(
  { status }: EtcdRestore,
  { at, message }: { at?: Date; message: string },
): EtcdRestoreStatus {
  const attempts = (status.endRecord?.attempts ?? 0) + 1;
  const next =
    at === undefined
      ? ({ state: "NotWritten" } as const)
      : ({ state: "Pending", nextAttemptTime: wholeSeconds(at) } as const);
  return { ...status, endRecord: { ...next, attempts, message } };
}

export function restoredBefore(restore: EtcdRestore, completedAt: string, now: Date): EtcdRestoreStatus {
  const message = `the store records that this restore ended at ${completedAt}; the operator does not run it again`;
  return ended(
    restoreChanged(restore, { outcome: "Succeeded", reason: "RestoredBefore", message }, now),
    now,
  );
}

export function restoreRetrying(
  restore: EtcdRestore,
  { at, reason, message }: { at: Date; reason: RestoreReason; message: string },
  now: Date,
): EtcdRestoreStatus {
  const text = `${message}; the next attempt starts at ${wholeSeconds(at)}`;
  return { ...inProgress(restore, reason, text, now), nextAttemptTime: wholeSeconds(at) };
}

export function restoreFailed(
  restore: EtcdRestore,
  { reason, message }: { reason: RestoreReason; message: string },
  now: Date,
): EtcdRestoreStatus {
  return ended(restoreChanged(restore, { outcome: "Failed", reason, message }, now), now);
}

function ended(status: EtcdRestoreStatus, now: Date): EtcdRestoreStatus {
  const { nextAttemptTime: _, ...rest } = status;
  return withDurations({ ...rest, completionTime: wholeSeconds(now) }, now);
}

/** Adds the durations of the steps whose times are known. */
function withDurations(status: EtcdRestoreStatus, now: Date): EtcdRestoreStatus {
  const { startTime, verifiedTime, restoredTime, runningTime, completionTime } = status;
  const between = (from: string | undefined, to: string | undefined) =>
    from === undefined || to === undefined
      ? undefined
      : inSeconds(Math.max(0, Date.parse(to) - Date.parse(from)));
  const proved = status.verification === undefined ? undefined : completionTime;
  const steps = {
    verify: between(startTime, verifiedTime),
    restore: between(verifiedTime, restoredTime),
    start: between(restoredTime, runningTime),
    prove: between(runningTime, proved),
    total: between(startTime, completionTime === undefined ? undefined : now.toISOString()),
  };
  const known = Object.entries(steps).filter(([, text]) => text !== undefined);
  return known.length === 0 ? status : { ...status, durations: Object.fromEntries(known) };
}

/** A duration between times that are cut to the second. */
function inSeconds(milliseconds: number): string {
  if (milliseconds < 1000) return "<1s";
  return milliseconds < 60_000 ? `${Math.floor(milliseconds / 1000)}s` : duration(milliseconds);
}
