import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSchedule } from "./schedule.ts";
import { scheduleOf } from "./schedule.fixture.ts";

const short = (time: Date | undefined) => time?.toISOString().replace(":00.000Z", "Z");

/** The times of a schedule in (from, to]. */
function timesOf(expression: string, zone: string, from: string, to: string): (string | undefined)[] {
  const schedule = scheduleOf(expression, zone);
  const times: (string | undefined)[] = [];
  for (let at = schedule.nextAfter(new Date(from)); at && at <= new Date(to); at = schedule.nextAfter(at))
    times.push(short(at));
  return times;
}

describe("a schedule in its time zone", () => {
  const cases = [
    ["is of UTC", "30 2 * * *", "UTC", "2026-03-28T00:00Z", ["2026-03-28T02:30Z", "2026-03-29T02:30Z"]],
    [
      "follows an offset of half an hour",
      "0 0 * * *",
      "Asia/Kolkata",
      "2026-03-28T00:00Z",
      ["2026-03-28T18:30Z", "2026-03-29T18:30Z"],
    ],
    [
      "follows daylight saving time",
      "0 12 * * *",
      "Europe/Berlin",
      "2026-03-28T00:00Z",
      ["2026-03-28T11:00Z", "2026-03-29T10:00Z"],
    ],
  ] as const;
  for (const [name, expression, zone, from, times] of cases)
    it(name, () => {
      const end = new Date(Date.parse(from) + 2 * 86_400_000).toISOString();
      assert.deepEqual(timesOf(expression, zone, from, end), times);
    });

  it("starts strictly after a time, and ends with it", () => {
    const schedule = scheduleOf("0 * * * *", "UTC");
    const [one, two] = [new Date("2026-01-01T01:00Z"), new Date("2026-01-01T02:00Z")];
    assert.deepEqual(schedule.nextAfter(one), two);
    assert.deepEqual(schedule.nextAfter(new Date(one.getTime() - 1)), one);
    assert.deepEqual(schedule.lastUpTo(two, one), two);
    assert.deepEqual(schedule.lastUpTo(new Date(two.getTime() - 1), one), undefined);
    assert.deepEqual(schedule.lastUpTo(one, one), undefined);
    assert.deepEqual(schedule.lastUpTo(one, two), undefined);
  });
});

describe("where the clock goes forward", () => {
  const cases = [
    [
      "a skipped time fires at the turn",
      "30 2 * * *",
      "America/New_York",
      ["2024-03-10T00:00Z", "2024-03-11T12:00Z"],
      ["2024-03-10T07:00Z", "2024-03-11T06:30Z"],
    ],
    [
      "many skipped times fire once",
      "*/10 2 * * *",
      "Europe/Berlin",
      ["2026-03-29T00:00Z", "2026-03-29T23:00Z"],
      ["2026-03-29T01:00Z"],
    ],
    [
      "a skipped time and the time of the turn fire once",
      "0 2,3 * * *",
      "Europe/Berlin",
      ["2026-03-29T00:00Z", "2026-03-29T23:00Z"],
      ["2026-03-29T01:00Z"],
    ],
    [
      "a time in a skipped half hour fires at the turn",
      "15 2 * * *",
      "Australia/Lord_Howe",
      ["2024-10-05T00:00Z", "2024-10-06T00:00Z"],
      ["2024-10-05T15:30Z"],
    ],
    [
      "a time after a skipped half hour fires in time",
      "45 2 * * *",
      "Australia/Lord_Howe",
      ["2024-10-05T00:00Z", "2024-10-06T00:00Z"],
      ["2024-10-05T15:45Z"],
    ],
    [
      "a skipped midnight fires at one o'clock",
      "0 0 * * *",
      "America/Sao_Paulo",
      ["2018-11-03T12:00Z", "2018-11-05T00:00Z"],
      ["2018-11-04T03:00Z"],
    ],
    [
      "the times of a skipped day fire at its end, once",
      "0 6,18 * * *",
      "Pacific/Apia",
      ["2011-12-29T20:00Z", "2011-12-31T12:00Z"],
      ["2011-12-30T04:00Z", "2011-12-30T10:00Z", "2011-12-30T16:00Z", "2011-12-31T04:00Z"],
    ],
    [
      "a schedule of the skipped day alone fires at its end",
      "0 6 30 12 *",
      "Pacific/Apia",
      ["2011-12-01T00:00Z", "2012-01-31T00:00Z"],
      ["2011-12-30T10:00Z"],
    ],
    [
      "a schedule of every hour goes on by the hour",
      "30 * * * *",
      "America/New_York",
      ["2024-03-10T06:00Z", "2024-03-10T09:00Z"],
      ["2024-03-10T06:30Z", "2024-03-10T07:30Z", "2024-03-10T08:30Z"],
    ],
    [
      "a schedule of every hour goes on over a skipped day",
      "0 * * * *",
      "Pacific/Apia",
      ["2011-12-30T08:00Z", "2011-12-30T12:00Z"],
      ["2011-12-30T09:00Z", "2011-12-30T10:00Z", "2011-12-30T11:00Z", "2011-12-30T12:00Z"],
    ],
    [
      "Morocco's end of Ramadan is a turn like any other",
      "30 2 * * *",
      "Africa/Casablanca",
      ["2024-04-14T00:00Z", "2024-04-15T12:00Z"],
      ["2024-04-14T02:00Z", "2024-04-15T01:30Z"],
    ],
  ] as const;
  for (const [name, expression, zone, [from, to], times] of cases)
    it(name, () => assert.deepEqual(timesOf(expression, zone, from, to), times));
});

describe("where the clock goes back", () => {
  const cases = [
    [
      "a repeated time fires the first time only",
      "30 1 * * *",
      "America/New_York",
      ["2024-11-03T00:00Z", "2024-11-04T12:00Z"],
      ["2024-11-03T05:30Z", "2024-11-04T06:30Z"],
    ],
    [
      "each of many repeated times fires once",
      "0,30 1,2 * * *",
      "America/New_York",
      ["2024-11-03T00:00Z", "2024-11-03T12:00Z"],
      ["2024-11-03T05:00Z", "2024-11-03T05:30Z", "2024-11-03T07:00Z", "2024-11-03T07:30Z"],
    ],
    [
      "every second hour is not every hour",
      "0 */2 * * *",
      "Europe/Berlin",
      ["2026-10-24T21:00Z", "2026-10-25T05:00Z"],
      ["2026-10-24T22:00Z", "2026-10-25T00:00Z", "2026-10-25T03:00Z", "2026-10-25T05:00Z"],
    ],
    [
      "a time in a repeated half hour fires the first time only",
      "45 1 * * *",
      "Australia/Lord_Howe",
      ["2024-04-06T00:00Z", "2024-04-07T00:00Z"],
      ["2024-04-06T14:45Z"],
    ],
    [
      "a repeated hour before midnight belongs to its day",
      "30 23 * * SAT",
      "America/Santiago",
      ["2024-04-06T12:00Z", "2024-04-08T00:00Z"],
      ["2024-04-07T02:30Z"],
    ],
    [
      "a schedule of every hour goes on by the hour",
      "0 * * * *",
      "America/New_York",
      ["2024-11-03T04:00Z", "2024-11-03T08:00Z"],
      ["2024-11-03T05:00Z", "2024-11-03T06:00Z", "2024-11-03T07:00Z", "2024-11-03T08:00Z"],
    ],
    [
      "a schedule of all 24 hours is one of every hour",
      "30 0-23 * * *",
      "Europe/Berlin",
      ["2026-10-25T00:00Z", "2026-10-25T03:00Z"],
      ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"],
    ],
    [
      "a schedule of every quarter of an hour goes on by it",
      "*/15 * * * *",
      "Australia/Lord_Howe",
      ["2024-04-06T14:30Z", "2024-04-06T15:30Z"],
      ["2024-04-06T14:45Z", "2024-04-06T15:00Z", "2024-04-06T15:15Z", "2024-04-06T15:30Z"],
    ],
    [
      "a schedule of every hour of one day has all hours of that day",
      "0 * * * SAT",
      "America/Santiago",
      ["2024-04-07T01:00Z", "2024-04-08T00:00Z"],
      ["2024-04-07T02:00Z", "2024-04-07T03:00Z"],
    ],
  ] as const;
  for (const [name, expression, zone, [from, to], times] of cases)
    it(name, () => assert.deepEqual(timesOf(expression, zone, from, to), times));
});

describe("days", () => {
  const cases = [
    [
      "match by either field when both are restricted",
      "0 0 13 * FRI",
      ["2026-03-01T00:00Z", "2026-03-21T00:00Z"],
      ["06", "13", "20"],
    ],
    [
      "match by either field when one has a step",
      "0 0 */10 * MON",
      ["2026-03-01T00:00Z", "2026-03-22T00:00Z"],
      ["02", "09", "11", "16", "21"],
    ],
    [
      "match by the week alone when the month is open",
      "0 0 * * FRI",
      ["2026-03-01T00:00Z", "2026-03-21T00:00Z"],
      ["06", "13", "20"],
    ],
    [
      "match by the month alone when the week is open",
      "0 0 13 * */1",
      ["2026-03-01T00:00Z", "2026-03-21T00:00Z"],
      ["13"],
    ],
    [
      "of the week begin with Sunday, 0 or 7",
      "0 0 * * 7",
      ["2026-03-01T00:00Z", "2026-03-21T00:00Z"],
      ["08", "15"],
    ],
    [
      "of a week's end may be written with 7",
      "0 0 * * 6-7",
      ["2026-03-01T00:00Z", "2026-03-10T00:00Z"],
      ["07", "08"],
    ],
    [
      "of the week with an open step end on Saturday",
      "0 0 * * MON/2",
      ["2026-03-01T00:00Z", "2026-03-09T00:00Z"],
      ["02", "04", "06", "09"],
    ],
  ] as const;
  for (const [name, expression, [from, to], days] of cases)
    it(name, () =>
      assert.deepEqual(
        timesOf(expression, "UTC", from, to).map((time) => time?.slice(8, 10)),
        days,
      ),
    );

  it("of a leap year are found over a century without one", () => {
    for (const expression of ["0 0 29 2 *", "0 * 29 2 *"]) {
      const schedule = scheduleOf(expression, "Europe/Berlin");
      assert.equal(short(schedule.nextAfter(new Date("2096-03-01T00:00Z"))), "2104-02-28T23:00Z");
      const last = schedule.lastUpTo(new Date("2104-02-28T00:00Z"), new Date("1970-01-01T00:00Z"));
      assert.equal(short(last)?.slice(0, 10), expression === "0 0 29 2 *" ? "2096-02-28" : "2096-02-29");
    }
  });
});

describe("a time zone", () => {
  it("that is not ASCII is refused, also after the zone that it resembles", () => {
    assert.equal(parseSchedule("@daily", "Europe/Berlin").is, "schedule");
    assert.equal(parseSchedule("@daily", "Europe/Berlin".replace("in", "\u0131n")).is, "invalid");
  });
  for (const zone of ["UTC", "Etc/UTC", "Europe/Berlin", "Europe/Kyiv", "CET", "GMT", "Etc/GMT+5"])
    it(`${zone} is accepted`, () => assert.equal(parseSchedule("@daily", zone).is, "schedule"));
  for (const zone of [
    "",
    "Local",
    "local",
    "+02:00",
    "-05",
    "UTC+2",
    "GMT+5",
    "Z",
    "BST",
    "PST",
    "IST",
    "Europe/Atlantis",
    "Mars/Phobos",
    "x".repeat(10_000),
  ])
    it(`${JSON.stringify(zone.slice(0, 20))} is refused by name`, () => {
      assert.deepEqual(parseSchedule("@daily", zone), {
        is: "invalid",
        problem: `the time zone ${JSON.stringify(zone.slice(0, 64))} is unknown`,
        hint: "use a name of the IANA time zone database, such as UTC or Europe/Berlin",
      });
    });
});
