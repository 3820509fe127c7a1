/** The closed set of failures, from which conditions, events, metrics and exit codes are derived. */
export type ErrorCode =
  | "Usage" // the command line or a field is wrong
  | "InvalidConfiguration" // a Secret, certificate, URL or setting cannot be used
  | "NotFound" // a backup, bucket or file does not exist
  | "CredentialsNotFound" // a Secret, or a key in it, does not exist (yet)
  | "AlreadyExists" // an object of this name exists; nothing was overwritten
  | "Conflict" // another client has changed the object; read it again and retry
  | "Refused" // a safety rule forbids it
  | "FolderClaimed" // the folder belongs to another etcd cluster or writer
  | "NoUsableMember" // no etcd member may serve the snapshot
  | "MembersDisagree" // HashKV differs between members
  | "Unauthorized" // credentials are missing, wrong or lack a permission
  | "Unreachable" // no answer, or the connection broke
  | "Timeout"
  | "SnapshotFailed" // etcd's stream broke, stalled or contradicts itself
  | "StoreFailed" // the store answered with an error
  | "VerificationFailed" // a digest, total or structure disagrees
  | "Aborted" // the work was asked to stop
  | "Internal";

export interface OperatorErrorInit {
  /** Another attempt cannot succeed. Absent: by the code. */
  permanent?: boolean;
  /** What the user can do, in the imperative. One sentence, no trailing full stop. */
  hint?: string;
  /** The failure without the place it happened at, for a table whose row names that place. Absent: the message. */
  summary?: string;
  cause?: unknown;
  /** The failed call may have taken effect: check that before a retry, or before reporting a failure. */
  outcomeUnknown?: boolean;
}

const permanentByDefault: ReadonlySet<ErrorCode> = new Set([
  "Usage",
  "InvalidConfiguration",
  "NotFound",
  "AlreadyExists",
  "Refused",
  "VerificationFailed",
]);

/**
 * The one error that functions throw to other folders. An adapter classifies what it catches once; its callers decide by
 * `code`, `permanent` and `outcomeUnknown`, and never by the text. Messages hold no secret.
 */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
  readonly code: ErrorCode;
  readonly permanent: boolean;
  readonly hint: string | undefined;
  readonly summary: string;
  readonly outcomeUnknown: boolean;

  constructor(code: ErrorCode, message: string, init: OperatorErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.permanent = init.permanent ?? permanentByDefault.has(code);
    this.hint = init.hint;
    this.summary = init.summary ?? message;
    this.outcomeUnknown = init.outcomeUnknown ?? false;
  }
}

/** The message, and what the person can do. */
export function withHint({ message, hint }: OperatorError): string {
  return hint === undefined ? message : `${message} (${hint})`;
}

/** Any thrown value as an OperatorError: itself, `Timeout` or `Aborted` of a signal, else `Internal`. */
export function asOperatorError(thrown: unknown): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  if (thrown instanceof Error && thrown.name === "TimeoutError") {
    return new OperatorError("Timeout", thrown.message, { cause: thrown });
  }
  if (thrown instanceof Error && thrown.name === "AbortError") {
    return thrown.cause instanceof OperatorError
      ? thrown.cause
      : new OperatorError("Aborted", "stopped before it was finished", { cause: thrown });
  }
  return new OperatorError("Internal", messageOf(thrown), { cause: thrown });
}

/** The message of anything that was thrown. Not `String()` alone, which throws for an object without a primitive value. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  const primitive = typeof thrown !== "object" && typeof thrown !== "function";
  return primitive || thrown === null ? String(thrown) : Object.prototype.toString.call(thrown);
}
