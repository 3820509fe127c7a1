import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type ErrorCode, OperatorError } from "../../src/core/errors.ts";

/** The OperatorError with which the promise rejects. Fails when it resolves or when the code is another; `what` is for the message. */
export async function rejection(
  promise: Promise<unknown>,
  code: ErrorCode,
  what = "it",
): Promise<OperatorError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof OperatorError, inspect(error));
    assert.equal(error.code, code, `${what}: ${error.message}`);
    return error;
  }
  assert.fail(`${what} succeeded, where ${code} was expected`);
}
