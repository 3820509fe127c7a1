import { keepWithinPattern, keepWithinProblem } from "../../api/v1alpha1/retention.ts";

/** A time by the calendar. Not all of its parts are 0. */
export interface KeepWithin {
  years: number;
  months: number;
  weeks: number;
  days: number;
  hours: number;
}

/** Reads `36h`, `7d`, `2w`, `6m` or `1y6m`. `problem`: what the text has to be, to follow the field's name. */
export function parseKeepWithin(text: string): KeepWithin | { problem: string } {
  const match = new RegExp(keepWithinPattern).exec(text);
  const [years = 0, months = 0, weeks = 0, days = 0, hours = 0] =
    match?.slice(1).map((part: string | undefined) => Number.parseInt(part ?? "0", 10)) ?? [];
  if (years + months + weeks + days + hours === 0) return { problem: keepWithinProblem };
  return { years, months, weeks, days, hours };
}
