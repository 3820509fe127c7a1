import { OperatorError } from "../core/errors.ts";

/** What a call is about, for messages: `list etcdbackups.etcdbackup.dev in kube-system`. */
export interface Doing {
  verb: string;
  /** `etcdbackups.etcdbackup.dev`, or a path that is no resource. */
  resource: string;
  /** Key of the object, or the namespace of a collection. */
  of?: string;
}

/** The answer of an API server that refused, as the cause of an OperatorError. */
export class ApiStatusError extends Error {
  override readonly name = "ApiStatusError";
  readonly status: number;
  /** `Conflict`, `AlreadyExists`, `Expired`…; empty when the answer was no Status object. */
  readonly reason: string;
  /** The Status names an object: it is that object which is missing, not its kind. */
  readonly namesObject: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, body: unknown, retryAfter?: string) {
    const given = isRecord(body) ? body : {};
    const details = isRecord(given["details"]) ? given["details"] : {};
    const message = typeof given["message"] === "string" ? given["message"] : "";
    const text = typeof body === "string" ? body.trim() : message;
    super((text === "" ? `HTTP status ${status}` : text).slice(0, 2000));
    this.status = status;
    this.reason = typeof given["reason"] === "string" ? given["reason"] : "";
    this.namesObject = typeof details["name"] === "string" && details["name"] !== "";
    const seconds = Number(retryAfter ?? details["retryAfterSeconds"] ?? Number.NaN);
    this.retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The status an API server answered with, where that is what went wrong. */
export function apiStatusOf(error: unknown): ApiStatusError | undefined {
  if (error instanceof ApiStatusError) return error;
  return error instanceof OperatorError && error.cause instanceof ApiStatusError ? error.cause : undefined;
}

/** The resource version or the continue token is older than what the server still has. */
export function isExpired(error: unknown): boolean {
  return apiStatusOf(error)?.status === 410;
}

export function describe({ verb, resource, of }: Doing): string {
  return of === undefined ? `${verb} ${resource}` : `${verb} ${resource} ${of}`;
}

export function classifyStatus(cause: ApiStatusError, doing: Doing): OperatorError {
  const where = describe(doing);
  switch (cause.status) {
    case 401:
      return new OperatorError("Unauthorized", `${where}: the API server does not accept the credentials`, {
        hint: "check the token or client certificate of the kubeconfig or service account; it may have expired",
        cause,
      });
    case 403:
      return forbidden(cause, doing);
    case 404:
      return cause.namesObject
        ? new OperatorError("NotFound", `${where}: not there`, { cause })
        : new OperatorError("NotFound", `${where}: the API server does not know ${doing.resource}`, {
            permanent: false,
            hint: "are the custom resource definitions installed?",
            cause,
          });
    case 409:
      return cause.reason === "AlreadyExists"
        ? new OperatorError("AlreadyExists", `${where}: there already`, { cause })
        : new OperatorError("Conflict", `${where}: ${cause.message}`, { cause });
    case 400:
    case 413:
    case 415:
    case 422:
      return new OperatorError("InvalidConfiguration", `${where}: ${cause.message}`, { cause });
    case 410:
      return new OperatorError("Conflict", `${where}: ${cause.message}`, { cause });
    case 429:
      return new OperatorError("Unreachable", `${where}: the API server is too busy`, { cause });
    case 504:
      return new OperatorError("Timeout", `${where}: ${cause.message}`, { cause });
    default:
      return cause.status >= 500
        ? new OperatorError("Unreachable", `${where}: the API server failed: ${cause.message}`, { cause })
        : new OperatorError("Internal", `${where}: HTTP status ${cause.status}: ${cause.message}`, { cause });
  }
}

/** 403 is also how quotas and terminating namespaces say no. */
function forbidden(cause: ApiStatusError, doing: Doing): OperatorError {
  if (/exceeded quota|is being terminated/.test(cause.message)) {
    return new OperatorError("Refused", `${describe(doing)}: ${cause.message}`, { permanent: false, cause });
  }
  return new OperatorError("Unauthorized", `${describe(doing)}: not allowed: ${cause.message}`, {
    hint: `grant the verb ${doing.verb} on ${doing.resource} to the user or service account`,
    cause,
  });
}

const connectionTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection broke",
  EPIPE: "the connection broke",
  ENOTFOUND: "the host name does not resolve",
  EAI_AGAIN: "the host name does not resolve for now",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
};

/** Node's code of a failed connection: `ECONNREFUSED`, `CERT_HAS_EXPIRED`… */
export function connectionCode(thrown: unknown): string {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : "";
}

/** Classifies what an exchange threw before or while the answer came. */
export function classifyConnection(thrown: unknown, doing: Doing, server?: string): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const code = connectionCode(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const where = server === undefined ? describe(doing) : `${describe(doing)} at ${server}`;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) {
    return new OperatorError("Unreachable", `${where}: TLS failed: ${message.split("\n")[0]}`, {
      hint: "check the certificate authority of the cluster in the kubeconfig, and the host name",
      cause: thrown,
    });
  }
  return new OperatorError("Unreachable", `${where}: ${connectionTexts[code] ?? message}`, { cause: thrown });
}
