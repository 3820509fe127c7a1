import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { type ErrorCode, OperatorError } from "../errors.ts";
import { backupOf, later, now } from "./backup.fixture.ts";
import { afterFailure, reasonOf, whileUnknown } from "./failure.ts";
import { initialized, started } from "./status.ts";

const pending: EtcdBackup = { ...backupOf(), status: initialized(backupOf(), now) };
const begun = { ...pending, status: started(pending, { attempt: 1, runId: "r" }, now) };
const broken = new OperatorError("Unreachable", "connection refused");

describe("afterFailure", () => {
  it("doubles the delay between attempts, up to six minutes", () => {
    const delays = [1, 2, 3, 7].map((attempts) => {
      const decision = afterFailure(
        { ...begun, spec: { ...begun.spec, backoffLimit: 10 }, status: { ...begun.status, attempts } },
        broken,
        now,
      );
      return decision.do === "retry" ? (decision.at.getTime() - now.getTime()) / 1000 : decision.do;
    });
    assert.deepEqual(delays, [10, 20, 40, 360]);
  });

  it("fails after backoffLimit more attempts, with the last error", () => {
    const decision = afterFailure({ ...begun, status: { ...begun.status, attempts: 4 } }, broken, now);
    assert.deepEqual(decision, {
      do: "fail",
      reason: "BackoffLimitExceeded",
      message: "4 attempts failed; the last error: connection refused",
    });
  });

  const after = (error: OperatorError, seconds: number, attempts = 1) =>
    afterFailure({ ...begun, status: { ...begun.status, attempts } }, error, later(seconds));

  it("fails at once after a permanent error, with its hint", () => {
    const error = new OperatorError("InvalidConfiguration", "ca.crt is no certificate", { hint: "mend it" });
    assert.deepEqual(after(error, 1), {
      do: "fail",
      reason: "InvalidConfiguration",
      message: "ca.crt is no certificate (mend it)",
    });
  });

  it("fails at the deadline, with the last error", () => {
    assert.deepEqual(after(broken, 3600), {
      do: "fail",
      reason: "TimedOut",
      message: "the backup did not finish within 3600 s; the last message: connection refused",
    });
  });

  it("plans no attempt at or after the deadline", () => {
    assert.equal(after(broken, 3589).do, "retry");
    assert.deepEqual(after(broken, 3590), {
      do: "fail",
      reason: "TimedOut",
      message: "no time is left for another attempt within 3600 s; the last error: connection refused",
    });
  });

  it("counts a single attempt in the singular", () => {
    const once = { ...begun, spec: { ...begun.spec, backoffLimit: 0 } };
    assert.deepEqual(afterFailure(once, broken, now), {
      do: "fail",
      reason: "BackoffLimitExceeded",
      message: "1 attempt failed; the last error: connection refused",
    });
  });
});

describe("whileUnknown", () => {
  it("waits for a bounded time when the start time cannot be parsed", () => {
    const odd = backupOf({
      status: { observedGeneration: 1, attempts: 1, startTime: "2026-08-20T12:00:00+99:99" },
    });
    const decision = whileUnknown(odd, new OperatorError("Unreachable", "no answer"), now);
    assert.ok(decision.do === "wait" && decision.ms > 0, JSON.stringify(decision));
  });

  const message =
    "the operator stopped in the middle of attempt 1; it is unknown what the attempt stored: connection refused";

  it("waits for the store's answer, at most until the deadline", () => {
    const wait = { do: "wait", reason: "OperatorRestarted", message };
    assert.deepEqual(whileUnknown(begun, broken, now), { ...wait, warn: true, ms: 10_000 });
    assert.deepEqual(whileUnknown(begun, broken, later(3597)), { ...wait, warn: true, ms: 3000 });
  });

  it("fails at the deadline, and after a permanent error of the store", () => {
    assert.deepEqual(whileUnknown(begun, broken, later(3600)), {
      do: "fail",
      reason: "TimedOut",
      message: `the backup did not finish within 3600 s; the last message: ${message}`,
    });
    const noBucket = new OperatorError("NotFound", "bucket b does not exist");
    const decision = whileUnknown(begun, noBucket, now);
    assert.deepEqual([decision.do, decision.reason], ["fail", "StoreNotReady"]);
  });
});

describe("reasonOf", () => {
  const reasons: Record<ErrorCode, string> = {
    Usage: "InvalidConfiguration",
    InvalidConfiguration: "InvalidConfiguration",
    NotFound: "StoreNotReady",
    CredentialsNotFound: "CredentialsNotFound",
    AlreadyExists: "UploadFailed",
    Conflict: "SnapshotFailed",
    Refused: "InvalidConfiguration",
    FolderClaimed: "FolderClaimed",
    NoUsableMember: "NoUsableMember",
    MembersDisagree: "MembersDisagree",
    Unauthorized: "Unauthorized",
    Unreachable: "SnapshotFailed",
    Timeout: "TimedOut",
    SnapshotFailed: "SnapshotFailed",
    StoreFailed: "UploadFailed",
    VerificationFailed: "VerificationFailed",
    Aborted: "OperatorRestarted",
    Internal: "InternalError",
  };
  for (const [code, reason] of Object.entries(reasons)) {
    it(`maps ${code} to ${reason}`, () => {
      assert.equal(reasonOf(new OperatorError(code as ErrorCode, "m")), reason);
    });
  }
});
