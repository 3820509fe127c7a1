import type { RetentionPolicy } from "../../api/v1alpha1/retention.ts";
import type { RetainableBackup } from "./retainable.ts";

const hourMs = 3_600_000;

/**
 * Names of the backups that at least one rule keeps, or all of them without a rule. It is written apart from the plan:
 * with Intl in place of the library, and by counting what is newer in place of one walk. `newestFirst`: one series.
 */
export function keptByOracle(
  newestFirst: readonly RetainableBackup[],
  policy: RetentionPolicy,
  timeZone: string,
): Set<string> {
  if (Object.keys(policy).length === 0) return new Set(newestFirst.map(({ name }) => name));
  const local = localTimes(newestFirst, timeZone);
  const [newest] = newestFirst;
  const newestAt = Math.min(newest?.time.getTime() ?? 0, newest?.storedAt.getTime() ?? 0);
  const names = newestFirst.flatMap(({ name, time, storedAt }, index) => {
    const bucketed = buckets.some(([field, bucketOf]) => {
      const ofNewer = local.slice(0, index).map(bucketOf);
      const isNewest = !ofNewer.includes(bucketOf(local[index] ?? ""));
      return isNewest && new Set(ofNewer).size < (policy[field] ?? 0);
    });
    const isLast = index < (policy.keepLast ?? 0);
    const isWithin =
      policy.keepWithin !== undefined &&
      Math.max(time.getTime(), storedAt.getTime()) > beginOf(new Date(newestAt), policy.keepWithin, timeZone);
    return bucketed || isLast || isWithin ? [name] : [];
  });
  return new Set(names);
}

/** The wall clock at each backup: `2026-08-20 12:34:56`. */
function localTimes(backups: readonly RetainableBackup[], timeZone: string): string[] {
  const format = formatOf(timeZone);
  return backups.map(({ time }) => format.format(time));
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  // Swedish writes ISO 8601.
  return new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
}

const buckets = [
  ["keepHourly", (local: string) => local.slice(0, 13)],
  ["keepDaily", (local: string) => local.slice(0, 10)],
  ["keepWeekly", (local: string) => mondayOf(local.slice(0, 10))],
  ["keepMonthly", (local: string) => local.slice(0, 7)],
  ["keepYearly", (local: string) => local.slice(0, 4)],
] as const;

function mondayOf(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  const sinceMonday = (date.getUTCDay() + 6) % 7;
  return new Date(date.getTime() - sinceMonday * 24 * hourMs).toISOString().slice(0, 10);
}

/** The begin of `5h`, `36h`, `3d`, `2w`, `1m` or `1y` before `newest`. All but hours need a zone of one offset. */
function beginOf(newest: Date, text: string, timeZone: string): number {
  const count = Number.parseInt(text, 10);
  const unit = text.at(-1);
  if (unit === "h") return newest.getTime() - count * hourMs;
  const wall = new Date(`${formatOf(timeZone).format(newest).replace(" ", "T")}Z`);
  const day = wall.getUTCDate();
  const begin = new Date(wall);
  if (unit === "d") begin.setUTCDate(day - count);
  if (unit === "w") begin.setUTCDate(day - 7 * count);
  if (unit === "m") begin.setUTCMonth(wall.getUTCMonth() - count);
  if (unit === "y") begin.setUTCFullYear(wall.getUTCFullYear() - count);
  // A day that the month does not have ended up in the next one.
  if ((unit === "m" || unit === "y") && begin.getUTCDate() !== day) begin.setUTCDate(0);
  return newest.getTime() - (wall.getTime() - begin.getTime());
}
