/** What went wrong, in a closed set: conditions, events, metrics and exit codes are derived from it. */
export type ErrorCode =
  | "Usage" // the command line or a field is wrong
  | "InvalidConfiguration" // a Secret, certificate, URL or setting cannot be used
  | "NotFound" // a backup, bucket or file is not there
  | "CredentialsNotFound" // a Secret, or a key in it, is not there (yet)
  | "AlreadyExists" // an object of this name is there already; nothing was overwritten
  | "Conflict" // somebody else changed it meanwhile; look again and retry
  | "Refused" // a safety rule says no
  | "NoUsableMember" // no etcd member may serve the snapshot
  | "MembersDisagree" // HashKV differs between members
  | "Unauthorized" // credentials are missing, wrong or lack a permission
  | "Unreachable" // no answer, or the connection broke
  | "Timeout"
  | "SnapshotFailed" // etcd's stream broke off, stalled or lied
  | "StoreFailed" // the object store answered with an error
  | "VerificationFailed" // a digest, total or structure disagrees
  | "Aborted" // somebody asked for the work to stop
  | "Internal";

export interface OperatorErrorInit {
  /** Trying the same thing again cannot help. */
  permanent?: boolean;
  /** What the person can do. One sentence, no trailing full stop. */
  hint?: string;
  /** The failure without the place it happened at, for a table whose row names that place. Absent: the message. */
  summary?: string;
  cause?: unknown;
  /** It may have taken effect all the same: look before it is done again or called failed. */
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
 * The one error that crosses module borders. Adapters classify what they catch once, at the edge;
 * everything above only reads `code`, `permanent` and `hint`. Messages never hold a secret.
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

/** Any thrown value as an OperatorError: itself, an abort, or `Internal`. */
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

/** `String()` throws on an object that cannot be made a primitive. */
function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  const primitive = typeof thrown !== "object" && typeof thrown !== "function";
  return primitive || thrown === null ? String(thrown) : Object.prototype.toString.call(thrown);
}
