import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { type Outcome, runConditions, wholeSeconds } from "../conditions.ts";
import { bytes, duration } from "../human.ts";
import { memberName, volumeName } from "./names.ts";
import type { RestoredMember } from "./observed.ts";

/** The next status after what happened: whole, since it is applied whole. Pure; `now` is the only clock. */
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
    ...inProgress(restore, "Pending", "seen; waiting for its turn", now),
    startTime: restore.status.startTime ?? wholeSeconds(now),
  };
}

/** `attempts` stands in status before the work begins. */
export function workBegun(restore: EtcdRestore, step: "verify" | "prove", now: Date): EtcdRestoreStatus {
  const [reason, message] = (
    {
      verify: ["Verifying", "reading the whole backup and comparing every digest"],
      prove: ["Proving", "comparing the members with one another and with the backup"],
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
  return inProgress(restore, "Verifying", `${bytes(read.bytes)} of ${bytes(read.totalBytes)} read`, now);
}

/** From here on it is decided what is made: source, token, names. */
export function verified(
  restore: EtcdRestore,
  { source, token }: { source: NonNullable<EtcdRestoreStatus["source"]>; token: string },
  now: Date,
): EtcdRestoreStatus {
  const {
    attempts: _,
    nextAttemptTime: __,
    ...status
  } = inProgress(restore, "CreatingVolumes", `backup ${source.name} is good; making volumes`, now);
  const members = Array.from({ length: restore.spec.target.cluster.replicas }, (_unused, index) => ({
    name: memberName(restore, index),
    volume: volumeName(restore, index),
    phase: "Pending" as const,
    attempts: 0,
  }));
  const next = { ...status, source, token, members, verifiedTime: wholeSeconds(now) };
  return withDurations(next, now);
}

/** As far as each member is seen to be. */
export function membersSeen(
  restore: EtcdRestore,
  seen: readonly RestoredMember[],
  { reason, message }: { reason: RestoreReason; message: string },
  now: Date,
): EtcdRestoreStatus {
  const members = (restore.status.members ?? []).map((member, index) => {
    const job = seen[index]?.job;
    if (job === undefined || job.state === "none" || job.state === "foreign") return member;
    const phase = job.state === "succeeded" ? ("Restored" as const) : ("Restoring" as const);
    return { ...member, phase, attempts: job.attempt };
  });
  return { ...inProgress(restore, reason, message, now), members };
}

export function membersRestored(
  restore: EtcdRestore,
  seen: readonly RestoredMember[],
  now: Date,
): EtcdRestoreStatus {
  const said = {
    reason: "StartingCluster",
    message: "all volumes hold the data; starting the members",
  } as const;
  const { nextAttemptTime: _, attempts: __, ...status } = membersSeen(restore, seen, said, now);
  return withDurations({ ...status, restoredTime: wholeSeconds(now) }, now);
}

export function clusterRunning(restore: EtcdRestore, now: Date): EtcdRestoreStatus {
  const message = "every member is ready; comparing them";
  const { attempts: _, ...status } = inProgress(restore, "Proving", message, now);
  return withDurations({ ...status, runningTime: wholeSeconds(now) }, now);
}

export function restoreSucceeded(
  restore: EtcdRestore,
  verification: NonNullable<EtcdRestoreStatus["verification"]>,
  now: Date,
): EtcdRestoreStatus {
  const { members, keys, alarms = [] } = verification;
  const raised = alarms.length === 0 ? "" : `; alarms raised: ${alarms.join(", ")}`;
  const message = `${members.length} ${members.length === 1 ? "member" : "members"}, equal HashKV, ${keys} keys${raised}`;
  const status = restoreChanged(restore, { outcome: "Succeeded", reason: "Succeeded", message }, now);
  return ended({ ...status, verification }, now);
}

export function restoredBefore(restore: EtcdRestore, completedAt: string, now: Date): EtcdRestoreStatus {
  const message = `this restore ended at ${completedAt}, as the store says, and is not run again`;
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
  const text = `${message}; tried again at ${wholeSeconds(at)}`;
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

/** Between the times that are known. */
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

/** The times are known to the second. */
function inSeconds(milliseconds: number): string {
  if (milliseconds < 1000) return "<1s";
  return milliseconds < 60_000 ? `${Math.floor(milliseconds / 1000)}s` : duration(milliseconds);
}
