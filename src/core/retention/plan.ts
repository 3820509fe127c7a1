import { DateTime, IANAZone } from "luxon";
import type { RetentionPolicy } from "../../api/v1alpha1/retention.ts";
import type { Series } from "../backup/series.ts";
import { OperatorError } from "../errors.ts";
import { whyLeftAlone } from "./belonging.ts";
import { type RetainableBackup, newestFirst } from "./retainable.ts";
import { type Ruling, rulingsOf } from "./rules.ts";

export type { RetentionPolicy };

/** What to do with every backup of a folder, newest first. Reasons are short texts for a table. */
export interface RetentionPlan {
  kept: { backup: RetainableBackup; reasons: string[] }[];
  removed: { backup: RetainableBackup; reason: string }[];
}

/**
 * Plans which backups of `series` to keep: each one that at least one rule of the policy keeps or that is in use, and
 * always the newest.
 * Keeps all others in the folder, and all that cannot be restored; they count for no rule. `timeZone`: IANA name of the
 * zone whose calendar the rules use. Throws InvalidConfiguration for a policy or a zone that it cannot read.
 */
export function planRetention(
  backups: readonly RetainableBackup[],
  { policy, series, timeZone }: { policy: RetentionPolicy; series: Series; timeZone: string },
): RetentionPlan {
  const zone = zoneOf(timeZone);
  const reviewed = backups.toSorted(newestFirst).map((backup) => ({
    backup,
    left: whyLeftAlone(backup, { series, adoptFrom: policy.adoptFrom }),
  }));
  const own = reviewed.filter(({ left }) => left.length === 0).map(({ backup }) => backup);
  const rulings = rulingsOf(
    policy,
    own.map((backup) => ({ backup, at: DateTime.fromJSDate(backup.time, { zone }) })),
  );
  const plan: RetentionPlan = { kept: [], removed: [] };
  for (const { backup, left } of reviewed) {
    const reasons = left.length > 0 ? left : whyKept(backup, own[0], rulings);
    if (reasons.length > 0) plan.kept.push({ backup, reasons });
    else plan.removed.push({ backup, reason: whyRemoved(backup, rulings) });
  }
  return plan;
}

function whyKept(
  backup: RetainableBackup,
  newest: RetainableBackup | undefined,
  rulings: readonly Ruling[],
): string[] {
  return [
    ...(backup === newest ? ["the newest backup"] : []),
    ...(rulings.length === 0 ? ["no keep rule is set"] : []),
    ...rulings.flatMap(({ kept }) => kept.get(backup) ?? []),
    ...(backup.inUse === undefined ? [] : [backup.inUse]),
  ];
}

/** Names the smallest part of the calendar that a newer backup stands for. */
function whyRemoved(backup: RetainableBackup, rulings: readonly Ruling[]): string {
  const part = rulings.map(({ replaced }) => replaced.get(backup)).find((found) => found !== undefined);
  return part === undefined ? "no rule keeps it" : `no rule keeps it; ${part} is kept by a newer backup`;
}

function zoneOf(timeZone: string): IANAZone {
  const zone = IANAZone.create(timeZone);
  if (zone.isValid) return zone;
  throw new OperatorError("InvalidConfiguration", `"${timeZone}" is not a time zone`, {
    hint: "name a time zone of the IANA database, such as UTC or Europe/Berlin",
  });
}
