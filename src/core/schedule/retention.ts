import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type {
  EtcdBackupSchedule,
  EtcdBackupScheduleStatus,
} from "../../api/v1alpha1/etcd-backup-schedule.ts";
import type { Series } from "../backup/series.ts";
import { conditionStatus, setCondition, wholeSeconds } from "../conditions.ts";
import { hasSucceeded, lastEndedFirst } from "./ended.ts";
import { whyLeftAlone } from "../retention/belonging.ts";
import { type RetentionPlan, planRetention } from "../retention/plan.ts";
import type { RetainableBackup } from "../retention/retainable.ts";

/** Milliseconds after which a removal that failed is tried again. */
export const retryRemovalMs = 3_600_000;
/** Removals that status names. */
const shownRemovals = 20;

/**
 * What is due: to carry out the plan after a backup has succeeded, to show a plan whose spec has changed, or nothing.
 * Nothing is removed before the first backup of the schedule has succeeded.
 */
export function retentionDue(
  { metadata, status }: EtcdBackupSchedule,
  newest: EtcdBackup | undefined,
  now: Date,
): "carryOut" | "show" | "nothing" {
  const { retention, conditions } = status;
  if (newest === undefined) return "nothing";
  // An older one is the newest where a person has deleted the record of a later one.
  const isLatest = (newest.status.completionTime ?? "") >= (status.lastSuccessfulTime ?? "");
  if (retention?.after !== newest.metadata.name && isLatest) return "carryOut";
  if (retention === undefined) return "nothing";
  if (retention.generation !== metadata.generation) return "show";
  const isBlocked = conditionStatus(conditions, "Retained") === "False";
  const isRetried = isBlocked && Math.abs(now.getTime() - Date.parse(retention.time)) >= retryRemovalMs;
  return isRetried ? "carryOut" : "nothing";
}

/** The EtcdBackup of the schedule that succeeded last. */
export function newestSuccess(children: readonly EtcdBackup[]): EtcdBackup | undefined {
  return children.filter(hasSucceeded).toSorted(lastEndedFirst)[0];
}

/**
 * Why nothing may be removed though the plan says so: the listing does not show the backup that has just succeeded, so it
 * is not a listing of where the backups are.
 */
export function whyNoPlan(newest: EtcdBackup, backups: readonly RetainableBackup[]): string | undefined {
  const name = newest.status.artifact?.name;
  const found = backups.find((backup) => backup.name === name);
  if (found === undefined)
    return `the store does not list ${name}, the backup of EtcdBackup ${newest.metadata.name}`;
  return found.problem === undefined
    ? undefined
    : `${name}, the newest backup, does not verify: ${found.problem}`;
}

export interface RetentionInput {
  backups: readonly RetainableBackup[];
  series: Series;
  /** When the next backup begins. */
  next: Date | undefined;
}

export function planOf({ spec }: EtcdBackupSchedule, { backups, series }: RetentionInput): RetentionPlan {
  return planRetention(backups, { policy: spec.retention ?? {}, series, timeZone: spec.timeZone });
}

/** What the plan would remove if the next backup had been made: as old as its time, and newer than all others. */
function planAfterNext(schedule: EtcdBackupSchedule, input: RetentionInput): RetentionPlan["removed"] {
  const { backups, series, next } = input;
  if (next === undefined) return planOf(schedule, input).removed;
  const generation = Math.max(0, ...backups.map((backup) => backup.generation ?? 0));
  const revision = Math.max(0, ...backups.map((backup) => backup.revision)) + 1;
  const coming = { name: "", time: next, storedAt: next, revision, generation, series, problem: undefined };
  return planOf(schedule, { ...input, backups: [coming, ...backups] }).removed;
}

/** The fields of status after a look at the stored backups, which are those that remain. */
export function retainedFields(
  schedule: EtcdBackupSchedule,
  input: RetentionInput & { after: string | undefined; removed: number; blocked: string | undefined },
  now: Date,
): Pick<EtcdBackupScheduleStatus, "retention" | "recoveryWindow" | "conditions"> {
  const { status, metadata } = schedule;
  const { after, blocked } = input;
  const { kept, removed } = planOf(schedule, input);
  const removedBefore = status.retention?.removed ?? 0;
  const message =
    blocked ?? `${kept.length} ${kept.length === 1 ? "backup stays" : "backups stay"} in the folder`;
  return {
    ...windowOf(schedule, input),
    retention: {
      ...(after === undefined ? {} : { after }),
      generation: metadata.generation,
      time: wholeSeconds(now),
      kept: kept.length + (blocked === undefined ? 0 : removed.length),
      removed: removedBefore + input.removed,
      next: planAfterNext(schedule, input)
        .toReversed()
        .slice(0, shownRemovals)
        .map(({ backup, reason }) => ({ backup: backup.name, reason })),
    },
    conditions: setCondition(
      status.conditions ?? [],
      {
        type: "Retained",
        status: blocked === undefined ? "True" : "False",
        reason: blocked === undefined ? "CarriedOut" : "RemovalBlocked",
        message,
      },
      { generation: metadata.generation, now },
    ),
  };
}

/** The fields of status where no plan could be made. What was planned before stays. */
export function blockedFields(
  schedule: EtcdBackupSchedule,
  message: string,
  now: Date,
): Pick<EtcdBackupScheduleStatus, "conditions"> {
  const { status, metadata } = schedule;
  const condition = { type: "Retained", status: "False", reason: "RemovalBlocked", message } as const;
  const stamp = { generation: metadata.generation, now };
  return { conditions: setCondition(status.conditions ?? [], condition, stamp) };
}

/** The backups of the series that can be restored. */
function windowOf(
  { spec }: EtcdBackupSchedule,
  { backups, series }: RetentionInput,
): Pick<EtcdBackupScheduleStatus, "recoveryWindow"> {
  const owner = { series, adoptFrom: spec.retention?.adoptFrom };
  const times = backups
    .filter((backup) => whyLeftAlone(backup, owner).length === 0)
    .map(({ time }) => time.getTime());
  if (times.length === 0) return {};
  return {
    recoveryWindow: {
      oldest: wholeSeconds(new Date(Math.min(...times))),
      newest: wholeSeconds(new Date(Math.max(...times))),
      count: times.length,
    },
  };
}
