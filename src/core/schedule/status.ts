import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type {
  EtcdBackupSchedule,
  EtcdBackupScheduleStatus,
} from "../../api/v1alpha1/etcd-backup-schedule.ts";
import type { Condition, ScheduleReason } from "../../api/v1alpha1/conditions.ts";
import { isFinished, setCondition, wholeSeconds } from "../conditions.ts";
import { type Cause, childName } from "./child.ts";
import { endOf, hasSucceeded, lastEndedFirst } from "./ended.ts";
import { type ObservedSchedule, type PassReason, expressionOf, nextStart } from "./decide.ts";

/** What can be seen of the EtcdBackupStore of a schedule. */
export type StoreState =
  | { is: "ready" }
  /** It may be written, and its last probe failed: a backup may still succeed. */
  | { is: "failing"; message: string }
  /** It does not exist, or is ReadOnly. */
  | { is: "unusable"; message: string };

/** What a pass has to report, besides what it does. */
export interface ScheduleReport extends ObservedSchedule {
  /** Why the times cannot be told. */
  problem: string | undefined;
  store: StoreState;
  /** The EtcdBackups of the schedule that the API server holds. */
  children: readonly EtcdBackup[];
}

/** The status by what is observed. It is the same as long as nothing happens, so a pass at rest writes nothing. */
export function reported(report: ScheduleReport): EtcdBackupScheduleStatus {
  const { schedule, active, now } = report;
  const { generation } = schedule.metadata;
  const { nextScheduleTime: _, active: __, ...before } = schedule.status;
  const next = nextStart(report);
  const ended = lastEnded(report.children);
  const set = (conditions: Condition[], condition: Stated) =>
    setCondition(conditions, condition, { generation, now });
  const conditions = [readiness(report), lastOutcome(report, ended)].reduce(set, before.conditions ?? []);
  return {
    ...before,
    observedGeneration: generation,
    conditions,
    ...(next === undefined ? {} : { nextScheduleTime: wholeSeconds(next) }),
    ...(active === undefined ? {} : { active: active.metadata.name }),
    ...(ended === undefined ? {} : endedFields(before, ended)),
  };
}

type Stated = Pick<Condition, "type" | "status" | "message"> & { reason: ScheduleReason };

function readiness({ schedule, problem, store, ...observed }: ScheduleReport): Stated {
  const { spec } = schedule;
  const stated = (status: Condition["status"], reason: ScheduleReason, message: string): Stated => ({
    type: "Ready",
    status,
    reason,
    message,
  });
  if (problem !== undefined) return stated("False", "InvalidSchedule", problem);
  if (store.is !== "ready") return stated("False", "StoreNotReady", store.message);
  if (spec.suspend) return stated("True", "Suspended", "spec.suspend is set: no backup begins");
  const next = nextStart({ schedule, ...observed });
  return stated(
    "True",
    "Scheduled",
    next === undefined ? "no time follows" : `${spec.schedule} in ${spec.timeZone}`,
  );
}

/** The newest EtcdBackup that has ended, by the time of its end. */
function lastEnded(children: readonly EtcdBackup[]): EtcdBackup | undefined {
  return children.filter(isFinished).toSorted(lastEndedFirst)[0];
}

function lastOutcome({ schedule }: ScheduleReport, ended: EtcdBackup | undefined): Stated {
  const type = "LastBackupSucceeded";
  const known = schedule.status.conditions?.find((condition) => condition.type === type);
  if (ended === undefined || isBefore(ended, schedule.status)) {
    // The records that the condition is about may have gone.
    const { status = "Unknown", message = "no backup of the schedule has ended" } = known ?? {};
    return { type, status, message, reason: (known?.reason ?? "NoBackupYet") as ScheduleReason };
  }
  const { name } = ended.metadata;
  if (hasSucceeded(ended))
    return { type, status: "True", reason: "Succeeded", message: `EtcdBackup ${name} succeeded` };
  const { message } = failureOf(ended);
  return { type, status: "False", reason: "Failed", message: `EtcdBackup ${name} failed: ${message}` };
}

/** Whether something that is not among the children ended later, such as a time whose EtcdBackup could not be created. */
function isBefore(ended: EtcdBackup, { lastFailure }: EtcdBackupScheduleStatus): boolean {
  return lastFailure !== undefined && endOf(ended) < lastFailure.time;
}

function endedFields(before: EtcdBackupScheduleStatus, ended: EtcdBackup): Partial<EtcdBackupScheduleStatus> {
  const { name } = ended.metadata;
  if (isBefore(ended, before)) return {};
  const end = endOf(ended);
  if (!hasSucceeded(ended)) {
    const isNew = end > (before.lastFailure?.time ?? "");
    return {
      lastBackup: name,
      lastFailure: { time: end, backup: name, ...failureOf(ended) },
      ...(isNew ? { failed: (before.failed ?? 0) + 1 } : {}),
    };
  }
  // A person may have deleted the record of a later one.
  if (end <= (before.lastSuccessfulTime ?? "")) return { lastBackup: name };
  return { lastBackup: name, lastSuccessfulTime: end, succeeded: (before.succeeded ?? 0) + 1 };
}

function failureOf({ status }: EtcdBackup): { reason: string; message: string } {
  const { reason = "", message = "" } = status.conditions?.find(({ type }) => type === "Succeeded") ?? {};
  return { reason, message };
}

/** The status once the EtcdBackup for this cause exists. */
export function created(schedule: EtcdBackupSchedule, cause: Cause): EtcdBackupScheduleStatus {
  const { status, metadata } = schedule;
  const active = { active: childName(metadata.name, cause) };
  if (cause.is === "trigger") return { ...status, ...active, lastHandledTrigger: cause.token };
  const time = wholeSeconds(cause.time);
  return {
    ...status,
    ...active,
    lastScheduleTime: time,
    handledUntil: time,
    handledSchedule: expressionOf(schedule),
  };
}

/** The status once no time up to `until` is run. */
export function passedOver(
  schedule: EtcdBackupSchedule,
  { until, why }: { until: Date; why: PassReason },
): EtcdBackupScheduleStatus {
  const { status } = schedule;
  return {
    ...status,
    handledUntil: wholeSeconds(until),
    handledSchedule: expressionOf(schedule),
    ...(why === "skipped" ? { skipped: (status.skipped ?? 0) + 1 } : {}),
    ...(why === "missed" ? { missed: (status.missed ?? 0) + 1 } : {}),
  };
}

/** The status once an EtcdBackup of this name was found that is not of the schedule. The cause counts as handled. */
export function adoptionRefused(
  schedule: EtcdBackupSchedule,
  cause: Cause,
  now: Date,
): EtcdBackupScheduleStatus {
  const name = childName(schedule.metadata.name, cause);
  const message = `EtcdBackup ${name} exists and is not of this schedule: it has no label that names the schedule`;
  const { active: _, ...status } = created(schedule, cause);
  return { ...status, ...notCreated(schedule, { reason: "AdoptionRefused", message }, now) };
}

/** The fields of status while the API server refuses the EtcdBackup. The cause is tried again. */
export function creationFailed(
  schedule: EtcdBackupSchedule,
  message: string,
  now: Date,
): Pick<EtcdBackupScheduleStatus, "lastFailure" | "conditions"> {
  return notCreated(schedule, { reason: "CreationFailed", message }, now);
}

function notCreated(
  { status, metadata: { generation } }: EtcdBackupSchedule,
  why: { reason: "AdoptionRefused" | "CreationFailed"; message: string },
  now: Date,
): Pick<EtcdBackupScheduleStatus, "lastFailure" | "conditions"> {
  const condition = { type: "LastBackupSucceeded", status: "False", ...why } as const;
  return {
    lastFailure: { time: wholeSeconds(now), ...why },
    conditions: setCondition(status.conditions ?? [], condition, { generation, now }),
  };
}
