import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSchedule } from "../schedule/schedule.ts";
import { storeOf } from "../store/store.fixture.ts";
import {
  type Failing,
  type FoundFailures,
  type VerificationReport,
  failuresUnknown,
  withVerification,
} from "./status.ts";

const now = new Date("2026-08-20T12:00:00Z");
const verify = { schedule: "0 3 * * *", timeZone: "UTC", which: "Rotating" } as const;
const failure = (backup: string, clusterName = "prod"): Failing => ({
  clusterName,
  backup,
  time: "2026-08-20T03:00:00Z",
  problem: "stored size",
});
const found = (...failing: Failing[]): FoundFailures => ({ failing, unknown: new Set(), warnings: [] });

function statusOf(
  over: { store?: Parameters<typeof storeOf>[0]; found?: FoundFailures; report?: VerificationReport } = {},
) {
  const store = storeOf({ verify, ...over.store });
  const status = withVerification(store, store.status, {
    found: over.found ?? found(),
    report: over.report,
    schedule: store.spec.verify && parseSchedule(store.spec.verify.schedule, store.spec.verify.timeZone),
    now,
  });
  const condition = status.conditions?.find(({ type }) => type === "Verified");
  return { status, store: { ...store, status }, condition, verification: status.verification };
}

const report: VerificationReport = {
  handled: { until: new Date("2026-08-20T03:00:00Z"), schedule: "0 3 * * * UTC" },
  verified: 4,
  lastTime: new Date("2026-08-20T03:10:00Z"),
  lastSuccessfulTime: new Date("2026-08-20T03:10:00Z"),
};

describe("the status of verifications", () => {
  it("is absent without spec.verify, while no backup is known to have failed", () => {
    const { verification, condition } = statusOf({ store: { verify: undefined } });
    assert.deepEqual([verification, condition], [undefined, undefined]);
  });

  it("is unknown before the first verification, and says when that is due", () => {
    const { verification, condition } = statusOf();
    assert.deepEqual([condition?.status, condition?.reason], ["Unknown", "NotVerifiedYet"]);
    assert.deepEqual(verification, { nextTime: "2026-08-21T03:00:00Z", failed: 0 });
  });

  it("has the times and the count of what this process did, and keeps them for the next process", () => {
    const first = statusOf({ report });
    const expected = {
      lastTime: "2026-08-20T03:10:00Z",
      lastSuccessfulTime: "2026-08-20T03:10:00Z",
      nextTime: "2026-08-21T03:00:00Z",
      handledUntil: "2026-08-20T03:00:00Z",
      handledSchedule: "0 3 * * * UTC",
      verified: 4,
      failed: 0,
    };
    assert.deepEqual(first.verification, expected);
    assert.deepEqual([first.condition?.status, first.condition?.reason], ["True", "Verified"]);
    assert.deepEqual(statusOf({ store: { status: first.status } }).verification, expected);
  });

  it("names the first failures and what to do, also without spec.verify", () => {
    const failures = found(...["a", "b", "c", "d", "e"].map((name) => failure(name)));
    const { condition, verification } = statusOf({ found: failures, store: { verify: undefined } });
    assert.deepEqual([condition?.status, condition?.reason], ["False", "VerificationFailed"]);
    assert.equal(
      condition?.message,
      "5 backups have failed the last verification and can probably not be restored (prod/a, at 2026-08-20T03:00:00Z: stored size; prod/b, at 2026-08-20T03:00:00Z: stored size; prod/c, at 2026-08-20T03:00:00Z: stored size; 2 more): restore the objects from a copy of the store, or delete the backup",
    );
    assert.deepEqual([verification?.failed, verification?.failing?.length], [5, 5]);
  });

  it("lists 20 failures and counts all", () => {
    const many = Array.from({ length: 50 }, (_, n) => failure(`b${n}`));
    const { verification } = statusOf({ found: found(...many) });
    assert.deepEqual([verification?.failed, verification?.failing?.length], [50, 20]);
  });

  it("keeps the failures while the store does not answer, and those of folders whose record cannot be read", () => {
    const before = statusOf({ report, found: found(failure("a"), failure("b", "lab")) }).status;
    const silent = statusOf({ store: { status: before }, found: failuresUnknown });
    assert.deepEqual(silent.verification, before.verification);
    const unreadable = { failing: [], unknown: new Set(["lab"]), warnings: ["lab cannot be read"] };
    const partly = statusOf({ store: { status: before }, found: unreadable });
    assert.deepEqual(partly.verification?.failing, [failure("b", "lab")]);
    assert.match(partly.condition?.message ?? "", /lab cannot be read$/);
  });

  it("ends the alarm when no failure is left", () => {
    const before = statusOf({ report, found: found(failure("a")) }).status;
    const { condition, verification } = statusOf({ store: { status: before } });
    assert.equal(condition?.status, "True");
    assert.deepEqual([verification?.failed, verification?.failing], [0, undefined]);
  });

  it("says why a verification is late, and that a schedule cannot be used", () => {
    const late = statusOf({ report: { ...report, trouble: "the store does not answer" } });
    assert.match(late.condition?.message ?? "", /; the store does not answer$/);
    assert.equal(late.condition?.status, "True");
    const invalid = statusOf({ store: { verify: { ...verify, schedule: "0 0 31 2 *" } } });
    assert.deepEqual([invalid.condition?.status, invalid.condition?.reason], ["False", "InvalidSchedule"]);
  });
});
