import { parseKeepWithin } from "../core/retention/keep-within.ts";
import { type RetentionPolicy, planRetention } from "../core/retention/plan.ts";
import { asOperatorError } from "../core/errors.ts";
import { wholeNumber } from "./flags.ts";
import { type KeepFlags, keepCounts } from "./keep-rules.ts";
import { usage } from "./usage.ts";

const largestCount = 10_000;

/** Throws Usage, also for a policy without a rule. */
export function policyOf(flags: KeepFlags): RetentionPolicy {
  const policy: RetentionPolicy = {};
  for (const rule of [
    "keepLast",
    "keepHourly",
    "keepDaily",
    "keepWeekly",
    "keepMonthly",
    "keepYearly",
  ] as const) {
    const text = flags[rule];
    if (text !== undefined) policy[rule] = countOf(text, keepCounts[rule].flag);
  }
  if (flags.keepWithin !== undefined) policy.keepWithin = spanOf(flags.keepWithin);
  if (Object.keys(policy).length > 0) return policy;
  throw usage(
    "no rule was given by which backups stay",
    "add at least one, such as --keep-last 7 or --keep-daily 14",
  );
}

function countOf(text: string, flag: string): number {
  const count = wholeNumber(text, flag);
  if (count >= 1 && count <= largestCount) return count;
  throw usage(
    `${flag} ${text} is not a number from 1 to ${largestCount}`,
    "leave the flag out for a rule that shall keep nothing",
  );
}

function spanOf(text: string): string {
  const span = parseKeepWithin(text);
  if ("problem" in span) throw usage(`--keep-within ${text} ${span.problem}`);
  return text;
}

/** Returns the time zone. Throws Usage for a name that is not of the IANA database. */
export function checkedZone(timeZone: string): string {
  try {
    planRetention([], { policy: {}, series: { name: "" }, timeZone });
    return timeZone;
  } catch (error) {
    const { message, hint } = asOperatorError(error);
    throw usage(`--time-zone: ${message}`, hint);
  }
}
