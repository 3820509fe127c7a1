import { DateTime } from "luxon";
import type { RetentionPolicy } from "../../api/v1alpha1/retention.ts";
import { OperatorError } from "../errors.ts";
import { parseKeepWithin } from "./keep-within.ts";
import type { RetainableBackup } from "./retainable.ts";

/** A backup, and when its run began by the calendar of the policy's time zone. */
export interface DatedBackup {
  backup: RetainableBackup;
  at: DateTime;
}

/** What one rule says about the backups of a series. */
export interface Ruling {
  /** The backups that the rule keeps, each with the reason. */
  kept: Map<RetainableBackup, string>;
  /** Those that it does not keep because it keeps a newer one for the same part of the calendar, each with that part. */
  replaced: Map<RetainableBackup, string>;
}

/** The parts of the calendar, as a table shows them. */
const calendar = {
  keepHourly: (at) => `hourly ${dayOf(at)} ${digits(at.hour)}h`,
  keepDaily: (at) => `daily ${dayOf(at)}`,
  keepWeekly: (at) => `weekly ${at.weekYear}-W${digits(at.weekNumber)}`,
  keepMonthly: (at) => `monthly ${monthOf(at)}`,
  keepYearly: (at) => `yearly ${at.year}`,
} as const satisfies Partial<Record<keyof RetentionPolicy, (at: DateTime) => string>>;

const monthOf = (at: DateTime) => `${at.year}-${digits(at.month)}`;
const dayOf = (at: DateTime) => `${monthOf(at)}-${digits(at.day)}`;
const digits = (value: number) => String(value).padStart(2, "0");

/**
 * One ruling for each rule that the policy sets. `newestFirst`: the sound backups of the series. Throws
 * InvalidConfiguration when keepWithin is not a time.
 */
export function rulingsOf(policy: RetentionPolicy, newestFirst: readonly DatedBackup[]): Ruling[] {
  const { keepLast = 0, keepWithin } = policy;
  const rulings: Ruling[] = [];
  if (keepLast > 0) rulings.push(last(keepLast, newestFirst));
  for (const [field, partOf] of Object.entries(calendar)) {
    const count = policy[field as keyof typeof calendar] ?? 0;
    if (count > 0) rulings.push(newestOfEach(partOf, count, newestFirst));
  }
  if (keepWithin !== undefined) rulings.push(within(keepWithin, newestFirst));
  return rulings;
}

function last(count: number, newestFirst: readonly DatedBackup[]): Ruling {
  const kept = new Map(newestFirst.slice(0, count).map(({ backup }) => [backup, `last ${count}`]));
  return { kept, replaced: new Map() };
}

/**
 * The newest backup of each of the latest `count` parts of the calendar that have one. A wrong clock can make backups of
 * one part stand apart in the order, so the parts are remembered.
 */
function newestOfEach(
  partOf: (at: DateTime) => string,
  count: number,
  newestFirst: readonly DatedBackup[],
): Ruling {
  const ruling: Ruling = { kept: new Map(), replaced: new Map() };
  const seen = new Set<string>();
  for (const { backup, at } of newestFirst) {
    const part = partOf(at);
    if (seen.has(part)) ruling.replaced.set(backup, part);
    else if (seen.size < count) {
      seen.add(part);
      ruling.kept.set(backup, part);
    }
  }
  return ruling;
}

/**
 * Counts back from the newest backup, so that nothing is removed because backups have stopped. The clock that named a backup
 * may have been wrong: the newest one is no younger than the store's clock says, and the others are no older.
 */
function within(text: string, newestFirst: readonly DatedBackup[]): Ruling {
  const span = parseKeepWithin(text);
  if ("problem" in span) {
    throw new OperatorError("InvalidConfiguration", `keepWithin is "${text}" and ${span.problem}`, {
      hint: "correct keepWithin; until then no backup is removed",
    });
  }
  const [newest] = newestFirst;
  if (newest === undefined) return { kept: new Map(), replaced: new Map() };
  const storedAt = DateTime.fromJSDate(newest.backup.storedAt, { zone: newest.at.zone });
  const begin = DateTime.min(newest.at, storedAt).minus(span).toMillis();
  const kept = newestFirst.filter(
    ({ at, backup }) => Math.max(at.toMillis(), backup.storedAt.getTime()) > begin,
  );
  return { kept: new Map(kept.map(({ backup }) => [backup, `within ${text}`])), replaced: new Map() };
}
