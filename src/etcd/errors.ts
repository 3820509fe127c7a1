import { type ErrorCode, OperatorError, type OperatorErrorInit } from "../core/errors.ts";

/** A call to one endpoint, for the text of its error: `snapshot at https://10.0.0.11:2379`. */
export interface EtcdCall {
  /** `status`, `HashKV`, `snapshot`, `authentication`… */
  operation: string;
  endpoint: string;
}

/** gRPC status codes, https://grpc.io/docs/guides/status-codes/ */
const grpcCode = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/**
 * grpc-js writes code and details into the message: `14 UNAVAILABLE: connect ECONNREFUSED …`. etcd3 keeps nothing else.
 */
function parseGrpcError(error: Error): { code: number; details: string } {
  const match = /^(\d+) [A-Z_]+: ([\s\S]*)$/.exec(error.message);
  if (match === null) return { code: grpcCode.unknown, details: error.message };
  return { code: Number(match[1]), details: match[2] ?? "" };
}

/** Whether etcd rejected the auth token of a call, from the thrown error or from what `classify` made of it. */
export function isInvalidToken(error: unknown): boolean {
  const answer = error instanceof OperatorError ? error.cause : error;
  return answer instanceof Error && /invalid auth token|revision in header is old/.test(answer.message);
}

/** Whether etcd refused a call because its user, or the lack of one, has no permission. Not for a rejected token. */
export function isRefusedByAuthorization(error: unknown): boolean {
  return error instanceof Error && /permission denied|user name is empty/i.test(error.message);
}

/**
 * Classifies what a call to one etcd endpoint threw; the cause is the error as it was thrown.
 * etcd 3.4 and 3.5 answer UNKNOWN for auth errors, so their text decides before the code does.
 */
export function classify(thrown: unknown, call: EtcdCall): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, details } = parseGrpcError(cause);
  const fail: Fail = (errorCode, reason, { outcome, ...init } = {}) =>
    new OperatorError(errorCode, `${headOf(call, outcome)}: ${reason}`, {
      summary: summaryOf(call, outcome, reason),
      cause,
      ...init,
    });
  return ofAuthentication(details, fail) ?? ofCode(code, details, fail);
}

/** Makes the error of the call. `outcome` is a verb for texts that need one: `was refused`. */
type Fail = (
  code: ErrorCode,
  reason: string,
  init?: OperatorErrorInit & { outcome?: "was refused" | "failed" },
) => OperatorError;

function headOf({ operation, endpoint }: EtcdCall, outcome: string | undefined): string {
  return [operation, "at", endpoint, outcome].filter((word) => word !== undefined).join(" ");
}

/** Every row of a table of members asks for the status, so a summary names only the other calls. */
function summaryOf({ operation }: EtcdCall, outcome: string | undefined, reason: string): string {
  const named = operation === "status" ? undefined : operation;
  const head = [named, outcome].filter((word) => word !== undefined).join(" ");
  return head === "" ? reason : `${head}: ${reason}`;
}

function ofAuthentication(details: string, fail: Fail): OperatorError | undefined {
  if (/user name is empty/i.test(details)) {
    return fail("Unauthorized", "etcd requires authentication, and no user was given", {
      outcome: "was refused",
      hint: "give a user with etcd's root role by --user or the auth Secret; only that role may take snapshots",
    });
  }
  if (/authentication failed|invalid auth token|permission denied|role .* not granted/i.test(details)) {
    return fail("Unauthorized", strip(details), {
      outcome: "was refused",
      hint: "check --user or the auth Secret, and that the user has etcd's root role",
    });
  }
  if (/authentication is not enabled/i.test(details)) {
    return fail("InvalidConfiguration", "a user was given, but authentication is not enabled in etcd", {
      hint: "give no user, or enable authentication in etcd",
    });
  }
  return undefined;
}

function ofCode(code: number, details: string, fail: Fail): OperatorError {
  switch (code) {
    case grpcCode.cancelled:
      return fail("Unreachable", "the member cancelled the call");
    case grpcCode.deadlineExceeded:
      return fail("Timeout", "no answer in time", {
        hint: "check whether the member is overloaded or its disk is stalled",
      });
    case grpcCode.unavailable:
      return ofConnection(details, fail);
    case grpcCode.permissionDenied:
    case grpcCode.unauthenticated:
      return fail("Unauthorized", strip(details), { outcome: "was refused" });
    case grpcCode.unimplemented:
      return fail("InvalidConfiguration", `the server is not etcd 3.4 or newer (${strip(details)})`);
    default:
      return fail("SnapshotFailed", strip(details), { outcome: "failed" });
  }
}

function ofConnection(details: string, fail: Fail): OperatorError {
  if (
    /certificate|self.signed|unable to (get|verify)|altnames|SSL|TLS|PEM|wrong version number/i.test(details)
  ) {
    return fail("Unreachable", `TLS failed: ${tlsCause(details)}`, {
      hint: "check the CA, the client certificate and its key, and that the member's certificate names this host, or give the server name",
    });
  }
  if (/ECONNREFUSED/.test(details)) return fail("Unreachable", "connection refused");
  if (/ENOTFOUND|Name resolution/.test(details)) return fail("Unreachable", "the host name does not resolve");
  return fail("Unreachable", strip(details));
}

/** The given certificates and key make no TLS client. Nothing has been sent to a member yet. */
export function unusableTls(thrown: unknown): OperatorError {
  const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
  return new OperatorError("InvalidConfiguration", `TLS failed: ${tlsCause(cause.message)}`, {
    cause,
    hint: "check the CA, the client certificate and its key",
  });
}

/** The common TLS failures by the texts of Node and OpenSSL, and what each means to an administrator. */
const tlsCauses: readonly [RegExp, string][] = [
  [
    /unable to (verify the first|get (local )?issuer) certificate|self.signed/i,
    "the member's certificate is not signed by an authority that is trusted here",
  ],
  [/alert number 116|certificate required/i, "the member asks for a client certificate"],
  [
    /alert number (42|48|46)|bad certificate|unknown ca/i,
    "the member does not accept the client certificate",
  ],
  [
    /alert number 45|alert certificate expired/i,
    "the member reports that the client certificate has expired",
  ],
  [/key values mismatch/i, "the client certificate and its key do not belong together"],
  [/wrong version number/i, "the member does not speak TLS on this port"],
  [/no start line/i, "the CA, certificate or key is not PEM, or is PEM of another kind"],
  [/has expired/i, "a certificate has expired"],
];

function tlsCause(details: string): string {
  // tls.checkServerIdentity: `Host: a. is not in the cert's altnames: DNS:b, DNS:c`, and the same for `IP:`.
  const mismatch = /(?:Host|IP): (\S+?)\.? is not (?:in the )?cert's (?:altnames|list|CN): ?(.*?)\.?$/.exec(
    strip(details),
  );
  if (mismatch !== null) {
    const names = mismatch[2] === "" ? "" : `, but ${mismatch[2]}`;
    return `the member's certificate does not name ${mismatch[1]}${names}`;
  }
  const known = tlsCauses.find(([pattern]) => pattern.test(details))?.[1];
  return known ?? strip(details);
}

/** The first line, without the prefixes of etcd and grpc-js. */
function strip(details: string): string {
  const line = details.split("\n")[0] ?? "";
  return line
    .replace(/^etcdserver: /, "")
    .replace(/^No connection established\.\s*(Last error:\s*)?(Error:\s*)?/i, "")
    .replace(/\s*Resolution note:.*$/, "")
    .slice(0, 300);
}

/** Status lists alarms as text among its errors: `memberID:10501334649042878790 alarm:NOSPACE `. The ID is decimal. */
export function parseAlarm(text: string): { memberId: string; alarm: string } | undefined {
  const match = /^(?:memberID:(\d+) )?alarm:([A-Z]+)/.exec(text);
  return match === null ? undefined : { memberId: match[1] ?? "0", alarm: match[2] ?? "" };
}
