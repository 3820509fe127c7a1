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
 * `newest`: the EtcdBackup that succeeded last; before the first one nothing is due.
 */
export function retentionDue(
  schedule: EtcdBackupSchedule,
  newest: EtcdBackup,
  now: Date,
): "carryOut" | "show" | "nothing" {
  const { metadata, status } = schedule;
  const { retention } = status;
  // An older one is the newest where a person has deleted the record of a later one.
  const isLatest = (newest.status.completionTime ?? "") >= (status.lastSuccessfulTime ?? "");
  if (retention?.after !== newest.metadata.name && isLatest) return "carryOut";
  if (retention === undefined) return "nothing";
  if (retention.generation !== metadata.generation) return "show";
  return retryAfterMs(schedule, now) === 0 ? "carryOut" : "nothing";
}

/** Milliseconds until what was blocked is tried again. Undefined: nothing is blocked. */
export function retryAfterMs(schedule: EtcdBackupSchedule, now: Date): number | undefined {
  const { retention } = schedule.status;
  if (retention === undefined || !isBlocked(schedule)) return undefined;
  // A clock that was set back must not put off the retry.
  return Math.max(0, retryRemovalMs - Math.abs(now.getTime() - Date.parse(retention.time)));
}

function isBlocked({ status }: EtcdBackupSchedule): boolean {
  return conditionStatus(status.conditions, "Retained") === "False";
}

/** The EtcdBackup of the schedule that succeeded last. */
export function newestSuccess(children: readonly EtcdBackup[]): EtcdBackup | undefined {
  return children.filter(hasSucceeded).toSorted(lastEndedFirst)[0];
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

/**
 * Why nothing may be removed though the plan says so: the backup that has just succeeded is not there, so this is not a
 * listing of where the backups are; or the plan would remove that one.
 */
export function whyNothingRemoved(
  newest: EtcdBackup,
  { backups, plan: { removed } }: { backups: readonly RetainableBackup[]; plan: RetentionPlan },
): string | undefined {
  const name = newest.status.artifact?.name;
  const found = backups.find((backup) => backup.name === name);
  if (found === undefined)
    return `the store does not list ${name}, the backup of EtcdBackup ${newest.metadata.name}`;
  if (found.problem !== undefined) return `${name}, the newest backup, does not verify: ${found.problem}`;
  return removed.some(({ backup }) => backup === found)
    ? `the plan would remove ${name}, which has just succeeded: the folder holds backups of this schedule with higher revisions, perhaps of another etcd cluster with the same ID (see etcd-backup list and claim show)`
    : undefined;
}

/**
 * The EtcdBackups that made a backup which the store does not hold any more: retention removed it, or a person did.
 * `newest`: one whose backup the store holds.
 */
export function recordsOfGone(
  children: readonly EtcdBackup[],
  newest: EtcdBackup,
  backups: readonly Pick<RetainableBackup, "name">[],
): EtcdBackup[] {
  const present = new Set(backups.map(({ name }) => name));
  const { storeURL } = newest.status.artifact ?? {};
  return children.filter(({ metadata, spec, status: { artifact } }) => {
    const isHere = spec.clusterName === newest.spec.clusterName && artifact?.storeURL === storeURL;
    const isGone = artifact !== undefined && !present.has(artifact.name);
    return isHere && isGone && metadata.deletionTimestamp === undefined;
  });
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

/** What was done by a plan. */
export interface CarriedOut {
  /** Names of the backups that were removed. */
  removed: ReadonlySet<string>;
  /** Why something that was to be removed is still there. */
  blocked: string | undefined;
}

/** The fields of status after a plan over `input.backups`. `done`: undefined where it is only shown. */
export function retainedFields(
  schedule: EtcdBackupSchedule,
  {
    plan,
    done,
    after,
    ...input
  }: RetentionInput & { plan: RetentionPlan; done?: CarriedOut; after?: string },
  now: Date,
): Pick<EtcdBackupScheduleStatus, "retention" | "recoveryWindow" | "conditions"> {
  const { status, metadata } = schedule;
  const { removed, blocked } = done ?? { removed: new Set<string>(), blocked: undefined };
  const backups = input.backups.filter(({ name }) => !removed.has(name));
  const kept = blocked === undefined ? plan.kept.length : backups.length;
  // A plan that is only shown puts off no retry.
  const time = done === undefined && isBlocked(schedule) ? status.retention?.time : undefined;
  return {
    ...windowOf(schedule, { ...input, backups }),
    retention: {
      ...(after === undefined ? {} : { after }),
      generation: metadata.generation,
      time: time ?? wholeSeconds(now),
      kept,
      removed: (status.retention?.removed ?? 0) + removed.size,
      next: planAfterNext(schedule, { ...input, backups })
        .toReversed()
        .slice(0, shownRemovals)
        .map(({ backup, reason }) => ({ backup: backup.name, reason })),
    },
    ...(done === undefined ? {} : outcomeOf(schedule, kept, blocked, now)),
  };
}

function outcomeOf(schedule: EtcdBackupSchedule, kept: number, blocked: string | undefined, now: Date) {
  if (blocked !== undefined) return blockedFields(schedule, blocked, now);
  return stated(
    schedule,
    "CarriedOut",
    `${kept} ${kept === 1 ? "backup stays" : "backups stay"} in the folder`,
    now,
  );
}

/** The fields of status where something could not be removed, or no plan could be made. What was planned before stays. */
export function blockedFields(
  schedule: EtcdBackupSchedule,
  message: string,
  now: Date,
): Pick<EtcdBackupScheduleStatus, "conditions"> {
  return stated(schedule, "RemovalBlocked", message, now);
}

function stated(
  { status, metadata }: EtcdBackupSchedule,
  reason: "CarriedOut" | "RemovalBlocked",
  message: string,
  now: Date,
): Pick<EtcdBackupScheduleStatus, "conditions"> {
  const condition = {
    type: "Retained",
    reason,
    message,
    status: reason === "CarriedOut" ? "True" : "False",
  } as const;
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
    .map(({ time }) => wholeSeconds(time))
    .toSorted();
  const [oldest, newest] = [times.at(0), times.at(-1)];
  return oldest === undefined || newest === undefined
    ? {}
    : { recoveryWindow: { oldest, newest, count: times.length } };
}
