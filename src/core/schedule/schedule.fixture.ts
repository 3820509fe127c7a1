import assert from "node:assert/strict";
import { parseSchedule, type Schedule } from "./schedule.ts";

/** The schedule of a valid expression. */
export function scheduleOf(expression: string, timeZone: string): Schedule {
  const parsed = parseSchedule(expression, timeZone);
  assert.ok(parsed.is === "schedule", JSON.stringify(parsed));
  return parsed.schedule;
}
