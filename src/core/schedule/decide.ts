import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import { type Cause, triggerAnnotation } from "./child.ts";

/** The times of a schedule, without the delay that spreads schedules. */
export interface Times {
  /** The first one after this time. */
  nextAfter(time: Date): Date | undefined;
  /** The last one up to this time, and after the other one. */
  lastUpTo(time: Date, after: Date): Date | undefined;
}

/** The input of the decision about one EtcdBackupSchedule. */
export interface ObservedSchedule {
  schedule: EtcdBackupSchedule;
  /** Undefined: spec.schedule or spec.timeZone cannot be used. */
  times: Times | undefined;
  /** Milliseconds after each time at which this schedule starts. */
  delayMs: number;
  /** Whether its EtcdBackupStore exists and may be written. */
  canStore: boolean;
  /** The EtcdBackup of the schedule that has not ended. */
  active: Pick<EtcdBackup, "metadata"> | undefined;
  now: Date;
}

/** Why times are passed over up to a time. `first`: there were none before the schedule existed. */
export type PassReason = "first" | "changed" | "suspended" | "skipped" | "missed" | "clockSetBack";

export type ScheduleDecision =
  | { do: "wait" }
  | { do: "create"; cause: Cause }
  /** No time up to `until` is run. `time`: the one that is skipped or missed. */
  | { do: "pass"; until: Date; why: PassReason };

/**
 * A clock that is behind the last handled time by less than this is waited for. It proves nothing about which clock was
 * wrong; a backup that is a day late is worse than one that may run again.
 */
const clockSlackMs = 24 * 3_600_000;

/**
 * What to do about one schedule now. `status.handledUntil` only grows, save for a clock that was set back by more than a
 * day, so no time is decided about twice; and of all times since then only the last one counts, so there is no burst.
 */
export function decideSchedule(observed: ObservedSchedule): ScheduleDecision {
  const { schedule, times, delayMs, canStore, active, now } = observed;
  const { spec, status } = schedule;
  if (times === undefined) return { do: "wait" };
  const start = decideStart(observed);
  if (start !== undefined) return start;
  const trigger = pendingTrigger(schedule);
  if (trigger !== undefined && active === undefined && canStore)
    return { do: "create", cause: { is: "trigger", token: trigger } };
  const handled = dateOf(status.handledUntil) ?? now;
  const due = times.lastUpTo(new Date(now.getTime() - delayMs), handled);
  if (due === undefined) return { do: "wait" };
  if (spec.suspend) return { do: "pass", until: due, why: "suspended" };
  if (active !== undefined) return { do: "pass", until: due, why: "skipped" };
  if (isTooLate(observed, due)) return { do: "pass", until: due, why: "missed" };
  return canStore ? { do: "create", cause: { is: "time", time: due } } : { do: "wait" };
}

/** What comes before any time of the schedule: where its times begin. */
function decideStart({ schedule, canStore, now }: ObservedSchedule): ScheduleDecision | undefined {
  const { spec, status, metadata } = schedule;
  const created = new Date(metadata.creationTimestamp);
  const handled = dateOf(status.handledUntil);
  if (handled === undefined) {
    if (!spec.runImmediately || spec.suspend) return { do: "pass", until: created, why: "first" };
    return canStore ? { do: "create", cause: { is: "creation", time: created } } : { do: "wait" };
  }
  if (handled.getTime() > now.getTime() + clockSlackMs)
    return { do: "pass", until: now, why: "clockSetBack" };
  if (status.handledSchedule !== expressionOf(schedule)) return { do: "pass", until: now, why: "changed" };
  return undefined;
}

/** What `status.handledUntil` refers to: times of another expression or zone are not made up for. */
export function expressionOf({ spec }: EtcdBackupSchedule): string {
  return `${spec.schedule} ${spec.timeZone}`;
}

/** The value of the annotation for which no EtcdBackup was created yet. */
export function pendingTrigger({ metadata, status }: EtcdBackupSchedule): string | undefined {
  const token = metadata.annotations?.[triggerAnnotation];
  return token === undefined || token === "" || token === status.lastHandledTrigger ? undefined : token;
}

function isTooLate({ schedule, delayMs, now }: ObservedSchedule, due: Date): boolean {
  const deadline = schedule.spec.startingDeadlineSeconds;
  return deadline !== undefined && now.getTime() - delayMs - due.getTime() > deadline * 1000;
}

/** When the next backup begins by the schedule. Undefined while none does. */
export function nextStart({ schedule, times, delayMs, now }: ObservedSchedule): Date | undefined {
  if (times === undefined || schedule.spec.suspend) return undefined;
  const next = nextTime({ schedule, times, delayMs, now });
  return next === undefined ? undefined : new Date(next.getTime() + delayMs);
}

/** The milliseconds until the next time has to be decided about. Undefined: only a change matters. */
export function wakeAfterMs(observed: ObservedSchedule): number | undefined {
  const { times, delayMs, now, schedule } = observed;
  if (times === undefined) return undefined;
  const next = nextTime({ schedule, times, delayMs, now });
  return next === undefined ? undefined : Math.max(0, next.getTime() + delayMs - now.getTime());
}

function nextTime({
  schedule,
  times,
  delayMs,
  now,
}: Pick<ObservedSchedule, "schedule" | "delayMs" | "now"> & { times: Times }): Date | undefined {
  const handled = dateOf(schedule.status.handledUntil)?.getTime() ?? 0;
  return times.nextAfter(new Date(Math.max(handled, now.getTime() - delayMs)));
}

export function dateOf(time: string | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time);
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `spec.jitter`, such as 5m; 0 without it. The CRD admits no other form. */
export function jitterLimitMs(jitter: string | undefined): number {
  const [, amount = "0", unit = "s"] = /^(\d+)([smh])$/.exec(jitter ?? "") ?? [];
  return Number(amount) * (unitMs[unit] ?? 0);
}
