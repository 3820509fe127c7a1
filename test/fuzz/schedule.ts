import assert from "node:assert/strict";
import { parseSchedule } from "../../src/core/schedule/schedule.ts";
import { mutateText } from "./json-mutations.ts";
import type { Target } from "./target.ts";

const samples = [
  "* * * * *",
  "*/15 0-6,20-23/2 1,15 JAN-MAR,DEC MON-FRI",
  "0 0 29 2 *",
  "0 0 31 2 *",
  "30 2 * * 0,7",
  "59 23 31 12 6/1",
  "@daily",
  "@yearly",
  "0 0 0 1 1 ?",
  "H L 15W 1#2 *",
] as const;
const pieces = [
  "*",
  "/",
  "-",
  ",",
  " ",
  "0",
  "7",
  "31",
  "60",
  "99",
  "SUN",
  "feb",
  "@",
  "\t",
  "\u00a0",
] as const;
const zones = [
  "UTC",
  "Europe/Berlin",
  "Australia/Lord_Howe",
  "Africa/Casablanca",
  "Etc/GMT-14",
  "Local",
  "+01:00",
] as const;
const start = Date.UTC(1990, 0, 1);

/** The first line is the time zone, the second an instant, the rest a schedule: it is refused with words, or it fires. */
export const schedule: Target = {
  name: "schedule",
  testInputs: 20_000,
  isText: true,
  generate(random) {
    let text: string = random.pick(samples);
    for (let left = random.below(5); left > 0; left--) {
      const at = random.below(text.length + 1);
      if (random.oneIn(3)) text = mutateText(text, random);
      else text = text.slice(0, at) + random.pick(pieces) + text.slice(at + random.below(3));
    }
    if (random.oneIn(2000)) text = "0,".repeat(100_000) + text;
    const zone = random.oneIn(20) ? mutateText(random.pick(zones), random) : random.pick(zones);
    const instant = start + random.below(50 * 365 * 1440) * 60_000 + random.below(2);
    return Buffer.from(`${zone.replaceAll("\n", "")}\n${instant}\n${text}`);
  },
  check(input) {
    const [zone = "", instant = "", ...lines] = Buffer.from(input).toString().split("\n");
    const began = performance.now();
    const parsed = parseSchedule(lines.join("\n"), zone);
    if (parsed.is === "invalid") {
      assert.ok(parsed.problem !== "" && parsed.hint !== "");
      assert.ok(parsed.problem.length + parsed.hint.length < 2000, "the message is too long");
    } else {
      const from = new Date(Number(instant));
      const next = parsed.schedule.nextAfter(from);
      assert.ok(next !== undefined && next > from, "a valid schedule fires");
      assert.deepEqual(parsed.schedule.lastUpTo(next, from), next);
      assert.equal(parsed.schedule.lastUpTo(new Date(next.getTime() - 1), from), undefined);
      const before = parsed.schedule.lastUpTo(from, new Date(0));
      assert.ok(before !== undefined && before <= from, "a valid schedule has fired");
    }
    assert.ok(performance.now() - began < 2000, "the schedule took too long");
  },
};
