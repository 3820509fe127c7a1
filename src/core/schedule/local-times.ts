import { type CronExpression, CronExpressionParser } from "cron-parser";
import { type Fields, type Problem, readFields } from "./fields.ts";

/**
 * The times of an expression on a local clock. Local times are milliseconds since 1970-01-01 00:00 of that clock, as if it
 * were UTC: there the clock never changes, and cron-parser needs no rules for that.
 */
export interface LocalTimes {
  /** The first one after `local`. */
  after(local: number): number | undefined;
  /** The last one that is not after `local`. */
  upTo(local: number): number | undefined;
  /** Whether the hour field has all 24 hours. */
  isHourly: boolean;
}

const minuteMs = 60_000;

/** Reads a cron expression of five fields, or a name such as `@daily`. */
export function readLocalTimes(expression: string): LocalTimes | Problem {
  const fields = readFields(expression);
  if ("problem" in fields) return fields;
  const cron = CronExpressionParser.parse(canonical(fields), { tz: "UTC", currentDate: new Date(0) });
  return {
    after: (local) => search(cron, minuteOf(local), () => cron.next()),
    // The search excludes its start.
    upTo: (local) => search(cron, minuteOf(local) + minuteMs, () => cron.prev()),
    isHourly: fields.hours.size === 24,
  };
}

/**
 * The fields as plain lists. cron-parser reads some forms in another way than cron does: it refuses `1-3,2` and `0,7`,
 * counts Sunday in `MON/2`, and takes a list of all days for `*`.
 */
function canonical({ minutes, hours, daysOfMonth, months, daysOfWeek, eitherDay }: Fields): string {
  const isEveryDay = eitherDay && (daysOfMonth.size === 31 || daysOfWeek.size === 7);
  const all = { minutes: 60, hours: 24, days: 31, months: 12, week: 7 };
  return [
    listOf(minutes, all.minutes),
    listOf(hours, all.hours),
    isEveryDay ? "*" : listOf(daysOfMonth, all.days),
    listOf(months, all.months),
    isEveryDay ? "*" : listOf(daysOfWeek, all.week),
  ].join(" ");
}

function listOf(values: ReadonlySet<number>, all: number): string {
  return values.size === all ? "*" : [...values].toSorted((a, b) => a - b).join(",");
}

function minuteOf(local: number): number {
  return Math.floor(local / minuteMs) * minuteMs;
}

function search(cron: CronExpression, from: number, step: () => { getTime(): number }): number | undefined {
  try {
    cron.reset(new Date(from));
    return step().getTime();
  } catch {
    // Beyond the years that a Date can tell.
    return undefined;
  }
}
