import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { scheduleOf } from "./schedule.fixture.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Instants near which the local clock changes, and some where it does not. */
const places = [
  ["America/New_York", "2024-03-10T07:00Z"],
  ["America/New_York", "2024-11-03T06:00Z"],
  ["Europe/Berlin", "2026-03-29T01:00Z"],
  ["Europe/Berlin", "2026-10-25T01:00Z"],
  ["Australia/Lord_Howe", "2024-04-06T15:00Z"],
  ["Australia/Lord_Howe", "2024-10-05T15:30Z"],
  ["Africa/Casablanca", "2024-03-10T02:00Z"],
  ["Africa/Casablanca", "2024-04-14T02:00Z"],
  ["Pacific/Apia", "2011-12-30T10:00Z"],
  ["Pacific/Kwajalein", "1993-08-21T12:00Z"],
  ["America/Sao_Paulo", "2018-11-04T03:00Z"],
  ["America/Havana", "2024-11-03T05:00Z"],
  ["America/Santiago", "2024-04-07T03:00Z"],
  ["America/Caracas", "2007-12-09T07:00Z"],
  ["Asia/Kathmandu", "1985-12-31T18:30Z"],
  ["Antarctica/Troll", "2024-03-31T01:00Z"],
  ["Antarctica/Troll", "2024-10-27T01:00Z"],
  ["Asia/Kolkata", "2024-02-29T00:00Z"],
  ["UTC", "2024-12-31T23:59Z"],
] as const;

/** A minute of a local clock, read by Intl. */
interface Minute {
  instant: number;
  local: number;
}

/** The local times of each minute from 30 h before a place to 40 h after it. */
function walk(timeZone: string, place: string): Minute[] {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
  const start = Date.parse(place) - 30 * hourMs;
  return Array.from({ length: 70 * 60 }, (_, index) => {
    const instant = start + index * minuteMs;
    const [month = 0, day, year = 0, hour, minute] = format.format(instant).match(/\d+/g)?.map(Number) ?? [];
    return { instant, local: Date.UTC(year, month - 1, day, hour, minute) };
  });
}

const walks = places.map(([zone, place]) => ({ zone, minutes: walk(zone, place) }));

/** One field: its text, and whether it allows a value. */
interface Part {
  text: string;
  isOpen: boolean;
  allows(value: number): boolean;
}

const open: Part = { text: "*", isOpen: true, allows: () => true };

function part(min: number, max: number): fc.Arbitrary<Part> {
  const value = fc.integer({ min, max });
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(open) },
    {
      weight: 2,
      arbitrary: fc.uniqueArray(value, { minLength: 1, maxLength: 5 }).map((values) => ({
        text: values.join(","),
        isOpen: false,
        allows: (one: number) => values.includes(one),
      })),
    },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 2, max: max - min }).map((step) => ({
        text: `*/${step}`,
        isOpen: false,
        allows: (one: number) => (one - min) % step === 0,
      })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(value, value).map(([one, two]) => {
        const [from, to] = [Math.min(one, two), Math.max(one, two)];
        return { text: `${from}-${to}`, isOpen: false, allows: (each: number) => each >= from && each <= to };
      }),
    },
  );
}

const mostlyOpen = (arbitrary: fc.Arbitrary<Part>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(open) }, { weight: 1, arbitrary });

/** The five fields of a schedule. Its months are open, so that it always fires. */
const parts = fc.tuple(
  part(0, 59),
  part(0, 23),
  mostlyOpen(part(1, 31)),
  fc.constant(open),
  mostlyOpen(part(0, 6)),
);
type Parts = readonly [Part, Part, Part, Part, Part];
const textOf = (fields: Parts) => fields.map(({ text }) => text).join(" ");

function matches([minute, hour, day, month, weekday]: Parts, local: number): boolean {
  const date = new Date(local);
  const byMonth = day.allows(date.getUTCDate());
  const byWeek = weekday.allows(date.getUTCDay());
  const isDay = !day.isOpen && !weekday.isOpen ? byMonth || byWeek : byMonth && byWeek;
  return (
    isDay &&
    month.allows(date.getUTCMonth() + 1) &&
    hour.allows(date.getUTCHours()) &&
    minute.allows(date.getUTCMinutes())
  );
}

/** The instants at which a schedule fires, by its rules, minute for minute. */
function fires(fields: Parts, minutes: readonly Minute[]): number[] {
  const isEveryHour = Array.from({ length: 24 }, (_, hour) => hour).every((hour) => fields[1].allows(hour));
  const instants: number[] = [];
  let highest = minutes[0]?.local ?? 0;
  for (const { instant, local } of minutes.slice(1)) {
    let isDue = isEveryHour && matches(fields, local);
    for (; highest < local; highest += minuteMs)
      isDue ||= !isEveryHour && matches(fields, highest + minuteMs);
    if (isDue) instants.push(instant);
  }
  return instants;
}

const iso = (instant: number | undefined) =>
  instant === undefined ? undefined : new Date(instant).toISOString();

/** An instant up to two hours around the change, or anywhere in the last 40 h of the walk, by a minute or by a millisecond. */
const offsets = fc.tuple(
  fc.oneof(fc.integer({ min: 28 * 60, max: 32 * 60 }), fc.integer({ min: 27 * 60, max: 69 * 60 })),
  fc.constantFrom(0, 0, 1, -1, 30_000),
);

describe("the times of random schedules", () => {
  it("are those of a walk over the local clock, minute by minute", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...walks),
        parts,
        fc.array(offsets, { minLength: 1, maxLength: 8 }),
        (place, fields, ats) => {
          const { zone, minutes } = place;
          const schedule = scheduleOf(textOf(fields), zone);
          const due = fires(fields, minutes);
          const first = minutes[60]?.instant ?? 0;
          const end = minutes.at(-1)?.instant ?? 0;
          for (const [minute, ms] of ats) {
            const at = new Date((minutes[minute]?.instant ?? 0) + ms);
            const next = schedule.nextAfter(at)?.getTime();
            assert.equal(
              iso(next === undefined || next > end ? undefined : next),
              iso(due.find((instant) => instant > at.getTime())),
              `after ${at.toISOString()}`,
            );
            assert.equal(
              iso(schedule.lastUpTo(at, new Date(first))?.getTime()),
              iso(due.findLast((instant) => instant <= at.getTime() && instant > first)),
              `up to ${at.toISOString()}`,
            );
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("are the same forwards and backwards, and increase", () => {
    const zone = fc.constantFrom(...new Set(places.map(([name]) => name)));
    const instant = fc.integer({ min: Date.parse("1975-01-01"), max: Date.parse("2090-01-01") });
    fc.assert(
      fc.property(
        zone,
        parts,
        instant,
        fc.nat({ max: 400 * 24 * hourMs }),
        (timeZone, fields, from, more) => {
          const schedule = scheduleOf(textOf(fields), timeZone);
          const at = new Date(from);
          const next = schedule.nextAfter(at);
          assert.ok(next !== undefined && next > at);
          assert.deepEqual(schedule.lastUpTo(next, at), next, "the next time is the last one up to itself");
          assert.equal(
            schedule.lastUpTo(new Date(next.getTime() - 1), at),
            undefined,
            "no time lies between",
          );
          const later = schedule.nextAfter(new Date(from + more));
          assert.ok(later !== undefined && later >= next, "a later start gives no earlier time");
          const last = schedule.lastUpTo(new Date(from + more), at);
          assert.equal(last === undefined, next.getTime() > from + more);
          if (last !== undefined) assert.ok(last >= next && later > last);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("the last time of a long interval", () => {
  it("is found without a look at the times before it", () => {
    const schedule = scheduleOf("* * * * *", "Europe/Berlin");
    const [time, after] = [new Date("2036-01-01T00:00:30Z"), new Date("2026-01-01T00:00Z")];
    // A walk over the interval would take 5 million steps a round, and the test would not end.
    for (let round = 0; round < 1000; round++)
      assert.equal(schedule.lastUpTo(time, after)?.toISOString(), "2036-01-01T00:00:00.000Z");
  });
});
