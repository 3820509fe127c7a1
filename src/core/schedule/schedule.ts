import { type LocalTimes, readLocalTimes } from "./local-times.ts";
import { dayMs, type Zone, zoneOf } from "./zone.ts";

/**
 * The times of a cron expression in a time zone, without jitter. Where the local clock changes:
 *
 * - When the hour field has all 24 hours, the schedule follows the clock. It fires whenever the clock shows one of its
 *   times: in both passes of a repeated hour, and not for times that the clock skips.
 * - Any other schedule fires once for each of its local times: at the first instant at which the clock shows this time or a
 *   later one. A time that occurs twice fires the first time. Times that the clock skips fire at the turn, together.
 */
export interface Schedule {
  /** The first time strictly after `time`. */
  nextAfter(time: Date): Date | undefined;
  /** The latest time in (after, time], found from `time` backwards. */
  lastUpTo(time: Date, after: Date): Date | undefined;
}

export type ParsedSchedule =
  | { is: "schedule"; schedule: Schedule }
  | { is: "invalid"; problem: string; hint: string };

/** Instants in milliseconds: the next after one, and the last not after one. */
interface Times {
  next(instant: number): number | undefined;
  last(instant: number): number | undefined;
}

/** Reads a cron expression of five fields, or a name such as `@daily`, in a zone with an IANA name. */
export function parseSchedule(expression: string, timeZone: string): ParsedSchedule {
  const zone = zoneOf(timeZone);
  if (zone === undefined)
    return {
      is: "invalid",
      problem: `the time zone ${JSON.stringify(timeZone.slice(0, 64))} is unknown`,
      hint: "use a name of the IANA time zone database, such as UTC or Europe/Berlin",
    };
  const times = readLocalTimes(expression);
  if ("problem" in times) return { is: "invalid", ...times };
  const { next, last } = times.isHourly ? byClock(times, zone) : byDate(times, zone);
  return {
    is: "schedule",
    schedule: {
      nextAfter(time) {
        const instant = next(time.getTime());
        return instant === undefined ? undefined : new Date(instant);
      },
      lastUpTo(time, after) {
        const instant = last(time.getTime());
        return instant === undefined || instant <= after.getTime() ? undefined : new Date(instant);
      },
    },
  };
}

function byDate(times: LocalTimes, zone: Zone): Times {
  const reaches = (local: number | undefined) => (local === undefined ? undefined : zone.reaches(local));
  return {
    next: (instant) => reaches(times.after(zone.reached(instant))),
    last: (instant) => reaches(times.upTo(zone.reached(instant))),
  };
}

/**
 * Goes from turn to turn, a day at a time. A pause of days is skipped up to its last two days: a turn moves the clock by a day
 * at most, and only a turn within the first day can repeat times before the pause.
 */
function byClock(times: LocalTimes, zone: Zone): Times {
  function next(instant: number): number | undefined {
    for (let from = instant + 1; ; ) {
      const offset = zone.offset(from);
      const local = times.after(from + offset - 1);
      if (local === undefined) return undefined;
      const match = local - offset;
      const to = Math.min(match, from + dayMs);
      const turn = zone.turn(from, to);
      if (turn === undefined && match === to) return match;
      from = turn ?? Math.max(to, match - 2 * dayMs);
    }
  }

  function last(instant: number): number | undefined {
    for (let to = instant; ; ) {
      const offset = zone.offset(to);
      const local = times.upTo(to + offset);
      if (local === undefined) return undefined;
      const match = local - offset;
      const from = Math.max(match, to - dayMs);
      const turn = zone.turn(from, to);
      if (turn === undefined && match === from) return match;
      to = turn === undefined ? Math.min(from, match + 2 * dayMs) : turn - 1;
    }
  }

  return { next, last };
}
