import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ErrorCode, OperatorError, asOperatorError } from "./errors.ts";

const permanence: Record<ErrorCode, boolean> = {
  Usage: true,
  InvalidConfiguration: true,
  NotFound: true,
  CredentialsNotFound: false,
  AlreadyExists: true,
  Conflict: false,
  Refused: true,
  FolderClaimed: false,
  NoUsableMember: false,
  MembersDisagree: false,
  Unauthorized: false,
  Unreachable: false,
  Timeout: false,
  SnapshotFailed: false,
  StoreFailed: false,
  VerificationFailed: true,
  Aborted: false,
  Internal: false,
};

for (const [code, permanent] of Object.entries(permanence)) {
  test(`${code} is ${permanent ? "permanent" : "worth another attempt"} by default`, () => {
    const known = code as ErrorCode;
    assert.equal(new OperatorError(known, "m").permanent, permanent);
    assert.equal(new OperatorError(known, "m", { permanent: !permanent }).permanent, !permanent);
  });
}

test("an error keeps its hint and its cause, and has no cause without one", () => {
  const cause = new Error("ECONNRESET");
  const error = new OperatorError("Unreachable", "etcd-0 does not answer", { hint: "look at it", cause });
  assert.deepEqual(
    [error.name, error.message, error.hint],
    ["OperatorError", "etcd-0 does not answer", "look at it"],
  );
  assert.equal(error.cause, cause);
  assert.equal("cause" in new OperatorError("Internal", "m"), false);
});

test("an error has a summary without its place where one was given, else its message", () => {
  const summary = "connection refused";
  assert.equal(new OperatorError("Unreachable", `status at m0: ${summary}`, { summary }).summary, summary);
  assert.equal(new OperatorError("Unreachable", "m0 does not answer").summary, "m0 does not answer");
});

test("an error that is classified already is returned as it is", () => {
  const error = new OperatorError("Refused", "no");
  assert.equal(asOperatorError(error), error);
});

test("the reason that a signal was aborted with is found inside the abort", () => {
  const why = new OperatorError("Aborted", "the EtcdBackup was deleted");
  const abort = new DOMException("This operation was aborted", { name: "AbortError", cause: why });
  assert.equal(asOperatorError(abort), why);
});

test("a bare abort is Aborted, a signal's time limit is Timeout, and both are worth another attempt", () => {
  const abort = new DOMException("This operation was aborted", "AbortError");
  const late = new DOMException("The operation was aborted due to timeout", "TimeoutError");
  assert.deepEqual(
    [abort, late].map((thrown) => {
      const { code, permanent, cause } = asOperatorError(thrown);
      return [code, permanent, cause === thrown];
    }),
    [
      ["Aborted", false, true],
      ["Timeout", false, true],
    ],
  );
});

test("anything thrown becomes an OperatorError, and what is unknown is Internal", () => {
  assert.equal(asOperatorError(new TypeError("x is not a function")).message, "x is not a function");
  assert.equal(asOperatorError("disk full").message, "disk full");
  assert.equal(asOperatorError(undefined).message, "undefined");
  assert.equal(asOperatorError(Object.create(null)).message, "[object Object]");
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), (thrown) => {
      const error = asOperatorError(thrown);
      assert.equal(error.code, "Internal");
      assert.equal(error.permanent, false);
    }),
  );
});
