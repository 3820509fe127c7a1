import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSchedule } from "../schedule/schedule.ts";
import { noMarks } from "./marks.ts";
import {
  type RoundDecision,
  type VerifiableFolder,
  countVerified,
  decideRound,
  failedBefore,
  hadTurn,
  inTurn,
  oldestVerified,
} from "./round.ts";

const at = (time: string) => new Date(`2026-08-${time}:00Z`);
const seconds = (time: string) => at(time).getTime() / 1000;

describe("the rounds of a store that verifies at 03:00", () => {
  const parsed = parseSchedule("0 3 * * *", "UTC");
  assert.ok(parsed.is === "schedule");
  const decide = (now: string, handled?: string, schedule = "daily") =>
    decideRound(parsed.schedule, {
      expression: "daily",
      handled: handled === undefined ? undefined : { until: at(handled), schedule },
      now: at(now),
    });
  const table: [string, RoundDecision, RoundDecision][] = [
    ["has no time before it is first seen", decide("20T12:00"), { do: "pass", until: at("20T12:00") }],
    ["waits for the next time", decide("20T12:00", "20T11:00"), { do: "wait", until: at("21T03:00") }],
    ["begins at the time itself", decide("21T03:00", "20T12:00"), { do: "verify", due: at("21T03:00") }],
    [
      "makes up for one of several missed times, the last",
      decide("24T12:00", "20T12:00"),
      { do: "verify", due: at("24T03:00") },
    ],
    [
      "does not begin a handled time again",
      decide("21T03:00", "21T03:00"),
      { do: "wait", until: at("22T03:00") },
    ],
    [
      "makes up for no time of another schedule",
      decide("21T12:00", "20T12:00", "weekly"),
      { do: "pass", until: at("21T12:00") },
    ],
    [
      "waits where the clock was set back by some hours",
      decide("21T02:00", "21T12:00"),
      { do: "wait", until: at("22T03:00") },
    ],
    [
      "begins anew where the clock was set back by days",
      decide("15T02:00", "21T12:00"),
      { do: "pass", until: at("15T02:00") },
    ],
  ];
  for (const [what, actual, expected] of table) it(what, () => assert.deepEqual(actual, expected));

  it("verifies nothing by a schedule whose times have ended", () => {
    const never = { nextAfter: () => undefined, lastUpTo: () => undefined };
    const handled = { until: at("20T12:00"), schedule: "daily" };
    assert.deepEqual(decideRound(never, { expression: "daily", handled, now: at("20T13:00") }), {
      do: "wait",
      until: undefined,
    });
  });
});

describe("the choice of a backup", () => {
  const round = { due: at("20T03:00"), now: at("20T04:00") };
  /** `marks`: the time of each backup's last verification, with `!` if it failed. */
  const folder = (clusterName: string, marks: Record<string, string>): VerifiableFolder => ({
    clusterName,
    names: Object.keys(marks),
    marks: {
      verified: new Map(
        Object.entries(marks).flatMap(([name, mark]) =>
          mark === "" ? [] : [[name, seconds(mark.replace("!", ""))]],
        ),
      ),
      problems: new Map(
        Object.entries(marks).flatMap(([name, mark]) => (mark.endsWith("!") ? [[name, "x"]] : [])),
      ),
    },
  });
  const chosen: [string, Record<string, string>, string | undefined][] = [
    ["is the one that was never verified", { a: "19T03:00", b: "", c: "18T03:00" }, "b"],
    ["is the oldest name of those that were never verified", { b: "", a: "", c: "18T03:00" }, "a"],
    ["is the one with the oldest verification", { a: "19T03:00", b: "17T03:00", c: "18T03:00" }, "b"],
    ["is the one whose time is of a clock that was days ahead", { a: "19T03:00", b: "29T03:00" }, "b"],
    ["is none in a folder without backups", {}, undefined],
  ];
  for (const [what, marks, expected] of chosen)
    it(what, () => assert.equal(oldestVerified(folder("c", marks), round), expected));

  const repeated: [string, Record<string, string>, string | undefined][] = [
    ["repeats the failure that is the oldest", { a: "19T03:00!", b: "18T03:00!", c: "20T03:30" }, "b"],
    ["repeats no success", { a: "19T03:00", c: "20T03:30" }, undefined],
    ["repeats no failure of this round", { a: "20T03:10!" }, undefined],
    [
      "repeats at most three failures in a round",
      { a: "20T03:10!", b: "20T03:11!", c: "20T03:12!", d: "19T03:00!" },
      undefined,
    ],
  ];
  for (const [what, marks, expected] of repeated)
    it(what, () => assert.equal(failedBefore(folder("c", marks), round), expected));

  it("gives a folder its turn once a round", () => {
    assert.equal(hadTurn(folder("c", { a: "19T03:00", b: "20T02:59" }), round), false);
    assert.equal(hadTurn(folder("c", { a: "19T03:00", b: "20T03:00" }), round), true);
    assert.equal(hadTurn({ clusterName: "c", names: ["a"], marks: noMarks }, round), false);
    assert.equal(countVerified(folder("c", { a: "20T03:01!", b: "20T03:00", c: "" }), round), 2);
  });

  it("begins with the folder that has waited longest, so that none starves where a round is never finished", () => {
    const folders = [
      folder("a", { x: "19T03:00" }),
      folder("d", { x: "" }),
      folder("c", { x: "18T03:00", y: "16T03:00" }),
      folder("b", { x: "" }),
    ];
    assert.deepEqual(
      inTurn(folders, round).map(({ clusterName }) => clusterName),
      ["b", "d", "c", "a"],
    );
  });
});
