import { OperatorError, type OperatorErrorInit } from "../../core/errors.ts";
import { abortError } from "../interruptible.ts";

/** Where the bucket is, for messages. */
export interface S3Place {
  bucket: string;
  region: string;
  /** Without user and password; absent for AWS. */
  endpoint?: string;
  /** A proxy may stand between. */
  proxied?: true;
}

/** The fields of an SDK error that are read here: an answer of the store, or a failure to get one. */
interface Thrown {
  name: string;
  message: string;
  code?: string;
  status?: number;
  requestId?: string;
  regionOfBucket?: string;
}

/** Error codes of S3 and of compatible stores, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const wrongCredentials = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "TokenRefreshRequired",
  "InvalidToken",
  "InvalidSecurity",
  "XAdminUserNotFound", // versitygw, with status 404
  "CredentialsProviderError",
  "TokenProviderError",
]);
const inOtherRegion = new Set([
  "PermanentRedirect",
  "TemporaryRedirect",
  "Redirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);
const busy = new Set([
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "ServiceUnavailable",
  "InternalError",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
  "OperationAborted",
  "ConditionalRequestConflict",
  "IncompleteBody",
]);
const damagedInTransit = new Set(["BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"]);
const uploadIsGone = new Set(["NoSuchUpload", "InvalidPart"]);
const connectionCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EADDRNOTAVAIL",
  "ERR_STREAM_PREMATURE_CLOSE",
]);

/**
 * Classifies what a request threw. `doing` begins the message: `reading backups/x`. The cause keeps only name, message,
 * code, status and request ID: an SDK error holds the request, and with it credentials.
 */
export function classifyS3(
  thrown: unknown,
  doing: string,
  place: S3Place,
  signal?: AbortSignal,
): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const error = fieldsOf(thrown);
  if (signal?.aborted === true && error.name === "AbortError") return abortError(signal);
  const fail = (code: OperatorError["code"], what: string, init: OperatorErrorInit = {}) =>
    new OperatorError(code, `${doing}: ${what}`, { ...init, cause: trimmed(error) });
  return ofName(error, place, fail) ?? ofConnection(error, place, fail) ?? ofStatus(error, place, fail);
}

type Fail = (code: OperatorError["code"], what: string, init?: OperatorErrorInit) => OperatorError;

function ofName(error: Thrown, place: S3Place, fail: Fail): OperatorError | undefined {
  const { name, message } = error;
  if (name === "NoSuchBucket") {
    return fail("NotFound", `bucket ${place.bucket} does not exist ${at(place)}`, {
      hint: "create the bucket, or check its name, the region and the endpoint",
    });
  }
  if (name === "NoSuchKey") return fail("NotFound", "the object does not exist");
  if (name === "PreconditionFailed") return fail("AlreadyExists", "an object of this name exists already");
  if (uploadIsGone.has(name)) {
    return fail("StoreFailed", "the unfinished upload no longer exists", {
      permanent: false,
      hint: "check whether a lifecycle rule or another program aborts unfinished uploads",
    });
  }
  if (wrongCredentials.has(name)) {
    return fail("Unauthorized", `the store does not accept the credentials: ${message}`, {
      hint: "check the access key and the secret key (credentialsSecretRef, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or the role of the workload",
    });
  }
  if (name === "RequestTimeTooSkewed") {
    return fail("Unauthorized", `the clocks of this machine and of the store differ: ${message}`, {
      hint: "set the clock of this machine",
    });
  }
  if (name === "RequestTimeout") return fail("Timeout", "the store waited too long for the request's bytes");
  if (name === "NotImplemented" || error.status === 501) {
    return fail("StoreFailed", `the store does not support the request: ${message}`, { permanent: true });
  }
  if (busy.has(name)) {
    return fail("StoreFailed", `the store is busy or failed (${name}): ${message}`, { permanent: false });
  }
  if (damagedInTransit.has(name)) {
    return fail("VerificationFailed", `the store received other bytes than were sent (${name}): ${message}`, {
      permanent: false,
      hint: "check the proxies and the hardware between this machine and the store",
    });
  }
  if (inOtherRegion.has(name)) return inAnotherRegion(error, place, fail);
  return undefined;
}

function ofConnection(error: Thrown, place: S3Place, fail: Fail): OperatorError | undefined {
  const { code = "", message, name } = error;
  if (/CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS|^ERR_OSSL/.test(code)) {
    return fail(
      "InvalidConfiguration",
      `the certificate ${at(place)} cannot be trusted: ${message} (${code})`,
      {
        hint:
          code === "ERR_TLS_CERT_ALTNAME_INVALID"
            ? "use an endpoint whose host name is in the certificate"
            : "give the CA that signed it: caBundleSecretRef, or AWS_CA_BUNDLE on the command line",
      },
    );
  }
  if (code === "EPROTO" || /wrong version number|ssl3_get_record/i.test(message)) {
    return fail("InvalidConfiguration", `no TLS ${at(place)}: ${message}`, {
      hint: "if the endpoint serves plain http, write it with http://",
    });
  }
  if (code === "ERR_PROXY_TUNNEL") {
    return fail("Unreachable", `the proxy opened no connection: ${message}`, {
      hint: "check HTTPS_PROXY and NO_PROXY, and what the proxy allows",
    });
  }
  // The SDK names a reset connection TimeoutError as well, so the code is checked first.
  if (connectionCodes.has(code) || /socket hang up|^aborted$|other side closed/.test(message)) {
    return fail("Unreachable", `${reasonOf(code, message)} ${at(place)}`, {
      hint:
        place.proxied === undefined
          ? "check the endpoint, DNS and network policies"
          : "check the endpoint, DNS, network policies, HTTPS_PROXY and NO_PROXY",
    });
  }
  if (name === "TimeoutError" || code === "ETIMEDOUT" || code === "ESOCKETTIMEDOUT") {
    return fail("Timeout", `no answer ${at(place)}`, {
      hint: "check whether the store is overloaded or a firewall drops the connection",
    });
  }
  return undefined;
}

function ofStatus(error: Thrown, place: S3Place, fail: Fail): OperatorError {
  const { status, message, name } = error;
  const answer = name === message || message === "UnknownError" ? name : `${name}: ${message}`;
  if (status === undefined) return fail("StoreFailed", answer, { permanent: false });
  if (status === 301 || status === 307) return inAnotherRegion(error, place, fail);
  if (status === 400 && error.regionOfBucket !== undefined && error.regionOfBucket !== place.region) {
    return inAnotherRegion(error, place, fail);
  }
  if (status === 401 || status === 403) {
    return fail("Unauthorized", `the store refused the request (${answer})`, {
      hint: "grant the credentials s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads on the bucket and prefix",
    });
  }
  if (status === 404) return fail("NotFound", "the object or the bucket does not exist");
  if (status === 412) return fail("AlreadyExists", "an object of this name exists already");
  if (status === 408) return fail("Timeout", "the store waited too long for the request's bytes");
  if (status === 429 || status >= 500) {
    return fail("StoreFailed", `the store is busy or failed (HTTP ${status}, ${answer})`, {
      permanent: false,
    });
  }
  if (status < 400) {
    return fail(
      "InvalidConfiguration",
      `the answer ${at(place)} is not that of an S3 store (HTTP ${status}, ${answer})`,
      {
        hint: "use the endpoint of the S3 API, not that of a console or of a proxy's login page",
      },
    );
  }
  return fail("StoreFailed", `the store refused the request (HTTP ${status}, ${answer})`, {
    permanent: true,
  });
}

function inAnotherRegion(error: Thrown, place: S3Place, fail: Fail): OperatorError {
  const region = error.regionOfBucket ?? /expecting '([a-z0-9-]+)'/.exec(error.message)?.[1];
  return fail(
    "InvalidConfiguration",
    region === undefined
      ? `bucket ${place.bucket} is not in region ${place.region}: ${error.message}`
      : `bucket ${place.bucket} is in region ${region}, not in ${place.region}`,
    { hint: `set the store's region${region === undefined ? "" : ` to ${region}`}` },
  );
}

function at({ endpoint, region }: S3Place): string {
  return endpoint === undefined ? `at AWS, region ${region}` : `at ${endpoint}`;
}

function reasonOf(code: string, message: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ENOTFOUND":
      return "the host name does not resolve";
    case "ECONNRESET":
    case "EPIPE":
      return "the connection broke";
    default:
      return message;
  }
}

/** Whether the same request may succeed soon. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof OperatorError) || error.permanent) return false;
  switch (error.code) {
    case "Unreachable":
    case "Timeout":
    case "VerificationFailed":
      return true;
    case "StoreFailed":
      return !isNoSuchUpload(error);
    default:
      return false;
  }
}

/** The object ends before the range of the request begins. */
export function isOutOfRange(error: unknown): boolean {
  const { name, status } = causeOf(error);
  return name === "InvalidRange" || status === 416;
}

/** The unfinished upload or one of its parts does not exist: it was aborted, or is completed already. */
export function isNoSuchUpload(error: unknown): boolean {
  return uploadIsGone.has(causeOf(error).name ?? "");
}

export function isNoSuchBucket(error: unknown): boolean {
  return causeOf(error).name === "NoSuchBucket";
}

/** The version was removed before. */
export function isNoSuchVersion(error: unknown): boolean {
  const { name, status } = causeOf(error);
  return name === "NoSuchVersion" || (status === 404 && !isNoSuchBucket(error));
}

/** The store knows the credentials, and they lack a permission. */
export function isAccessDenied(error: unknown): boolean {
  const { name = "", status } = causeOf(error);
  return status === 403 && !wrongCredentials.has(name) && name !== "RequestTimeTooSkewed";
}

/** The store does not support a header or parameter of the request. */
export function isNotImplemented(error: unknown): boolean {
  const { name, status } = causeOf(error);
  return name === "NotImplemented" || status === 501;
}

function causeOf(error: unknown): { name?: string; status?: number } {
  return error instanceof OperatorError && error.cause instanceof Error ? error.cause : {};
}

function fieldsOf(thrown: unknown): Thrown {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown) };
  const fields = thrown as Error & {
    code?: unknown;
    Region?: unknown;
    $metadata?: { httpStatusCode?: number; requestId?: string };
    $response?: { statusCode?: number; headers?: Record<string, string> };
  };
  const status = fields.$metadata?.httpStatusCode ?? fields.$response?.statusCode;
  const regionOfBucket =
    fields.$response?.headers?.["x-amz-bucket-region"] ??
    (typeof fields.Region === "string" ? fields.Region : undefined);
  const requestId = fields.$metadata?.requestId;
  return {
    name: thrown.name,
    message: (thrown.message.split("\n")[0] ?? "").slice(0, 500),
    ...(typeof fields.code === "string" ? { code: fields.code } : {}),
    ...(status === undefined ? {} : { status }),
    ...(regionOfBucket === undefined ? {} : { regionOfBucket }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

function trimmed(error: Thrown): Error {
  const cause = new Error(error.message);
  cause.name = error.name;
  delete cause.stack;
  const { code, status, requestId } = error;
  return Object.assign(cause, {
    ...(code === undefined ? {} : { code }),
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
  });
}
