import { OperatorError, messageOf } from "../core/errors.ts";
import { isRecord } from "../core/record.ts";

/** A call as an error text names it: `list etcdbackups.etcdbackup.dev in namespace kube-system`. */
export interface CallName {
  verb: string;
  /** `etcdbackups.etcdbackup.dev`, or a path that is not a resource. */
  resource: string;
  /** The key of the object, or `in namespace …` for a collection. */
  of?: string;
}

/** The API server's answer with an error status; the cause of an OperatorError. */
export class ApiStatusError extends Error {
  override readonly name = "ApiStatusError";
  readonly status: number;
  /** `Conflict`, `AlreadyExists`, `Expired`…; empty when the answer was not a Status object. */
  readonly reason: string;
  /** The Status names an object. With 404 that object is missing, not its kind. */
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

/** The error status in which a call ended; undefined when it failed in another way. */
export function apiStatusOf(error: unknown): ApiStatusError | undefined {
  if (error instanceof ApiStatusError) return error;
  return error instanceof OperatorError && error.cause instanceof ApiStatusError ? error.cause : undefined;
}

/** The server no longer has the resource version or the continue token. */
export function isExpired(error: unknown): boolean {
  return apiStatusOf(error)?.status === 410;
}

export function callName({ verb, resource, of }: CallName): string {
  return of === undefined ? `${verb} ${resource}` : `${verb} ${resource} ${of}`;
}

export function classifyStatus(cause: ApiStatusError, call: CallName): OperatorError {
  const where = callName(call);
  switch (cause.status) {
    case 401:
      return new OperatorError("Unauthorized", `${where}: the API server does not accept the credentials`, {
        hint: "check the token or client certificate of the kubeconfig or service account; it may have expired",
        cause,
      });
    case 403:
      return forbidden(cause, call);
    case 404:
      return cause.namesObject
        ? new OperatorError("NotFound", `${where}: it does not exist`, { cause })
        : new OperatorError("NotFound", `${where}: the API server does not know ${call.resource}`, {
            permanent: false,
            hint: "install the custom resource definitions, or those of the version that is asked for",
            cause,
          });
    case 409:
      return cause.reason === "AlreadyExists"
        ? new OperatorError("AlreadyExists", `${where}: it exists already`, { cause })
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

/** Exceeded quotas, admission webhooks and terminating namespaces are 403 as well; the text alone distinguishes them. */
function forbidden(cause: ApiStatusError, call: CallName): OperatorError {
  if (/exceeded quota|is being terminated|denied the request/.test(cause.message)) {
    return new OperatorError("Refused", `${callName(call)}: ${cause.message}`, { permanent: false, cause });
  }
  return new OperatorError("Unauthorized", `${callName(call)}: not allowed: ${cause.message}`, {
    hint: `grant the verb ${call.verb} on ${call.resource} to the user or service account`,
    cause,
  });
}

const connectionTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection broke",
  EPIPE: "the connection broke",
  ENOTFOUND: "the host name does not resolve",
  EAI_AGAIN: "the host name cannot be resolved at the moment",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
};

/** The first line of a library's message: further lines may quote a file or an answer, and with it a secret. */
export function firstLine(thrown: unknown): string {
  return messageOf(thrown).split("\n", 1)[0] ?? "";
}

/** Node's code of a failed connection: `ECONNREFUSED`, `CERT_HAS_EXPIRED`… */
export function connectionCode(thrown: unknown): string {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : "";
}

/** Classifies what an exchange threw before or during its answer. */
export function classifyConnection(thrown: unknown, call: CallName, server?: string): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const code = connectionCode(thrown);
  const where = server === undefined ? callName(call) : `${callName(call)} at ${server}`;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) {
    return new OperatorError("Unreachable", `${where}: TLS failed: ${firstLine(thrown)}`, {
      hint: "check the cluster's certificate authority in the kubeconfig, and that the server's certificate names this host",
      cause: thrown,
    });
  }
  return new OperatorError("Unreachable", `${where}: ${connectionTexts[code] ?? messageOf(thrown)}`, {
    cause: thrown,
  });
}
