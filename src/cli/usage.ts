import { OperatorError } from "../core/errors.ts";

/** A mistake in the command line: exit code 2. */
export function usage(message: string, hint?: string): OperatorError {
  return new OperatorError("Usage", message, hint === undefined ? {} : { hint });
}
