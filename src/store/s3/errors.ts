import { OperatorError, type OperatorErrorInit } from "../../core/errors.ts";
import { abortError } from "../interruptible.ts";

/** What a message needs to say where it happened. */
export interface S3Place {
  bucket: string;
  region: string;
  /** Without user and password; absent for AWS. */
  endpoint?: string;
}

/** What the SDK throws, as far as it is read here: an answer of the store, or a failure to get one. */
interface Thrown {
  name: string;
  message: string;
  code?: string;
  status?: number;
  requestId?: string;
  regionOfBucket?: string;
}

/** Error codes of S3 and its relatives, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
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
const elsewhere = new Set([
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
const damagedOnTheWay = new Set(["BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"]);
const vanished = new Set(["NoSuchUpload", "InvalidPart"]);
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
 * What a request threw, as an OperatorError. `doing` begins the message: `reading backups/x`. The cause is trimmed to
 * name, message and request ID: the SDK's errors hold requests and answers, and requests hold credentials.
 */
export function classifyS3(
  thrown: unknown,
  doing: string,
  place: S3Place,
  signal?: AbortSignal,
): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const error = read(thrown);
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
  if (name === "NoSuchKey") return fail("NotFound", "there is no such object");
  if (name === "PreconditionFailed") return fail("AlreadyExists", "an object of this name exists already");
  if (vanished.has(name)) {
    return fail("StoreFailed", "the unfinished upload has vanished", {
      permanent: false,
      hint: "does a lifecycle rule or another program abort unfinished uploads?",
    });
  }
  if (wrongCredentials.has(name)) {
    return fail("Unauthorized", `the store does not accept the credentials: ${message}`, {
      hint: "check the access key and the secret key (credentialsSecretRef, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or the role of the workload",
    });
  }
  if (name === "RequestTimeTooSkewed") {
    return fail("Unauthorized", message, { hint: "set the clock of this machine" });
  }
  if (name === "RequestTimeout") return fail("Timeout", "the store waited too long for the request's bytes");
  if (name === "NotImplemented" || error.status === 501) {
    return fail("StoreFailed", `the store cannot do this: ${message}`, { permanent: true });
  }
  if (busy.has(name)) {
    return fail("StoreFailed", `the store is busy or failed (${name}): ${message}`, { permanent: false });
  }
  if (damagedOnTheWay.has(name)) {
    return fail("VerificationFailed", `the store got other bytes than were sent (${name}): ${message}`, {
      permanent: false,
      hint: "something on the way to the store alters the bytes",
    });
  }
  if (elsewhere.has(name)) return inAnotherRegion(error, place, fail);
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
            ? "the endpoint has to be a name that the certificate holds"
            : "give the authority that signed it: caBundleSecretRef, or AWS_CA_BUNDLE on the command line",
      },
    );
  }
  if (code === "EPROTO" || /wrong version number|ssl3_get_record/i.test(message)) {
    return fail("InvalidConfiguration", `no TLS ${at(place)}: ${message}`, {
      hint: "does the endpoint speak plain http?",
    });
  }
  // The SDK calls a reset connection a TimeoutError, too: its code comes first.
  if (connectionCodes.has(code) || /socket hang up|^aborted$|other side closed/.test(message)) {
    return fail("Unreachable", `${reasonOf(code, message)} ${at(place)}`, {
      hint: "check the endpoint, the name service and the network policies",
    });
  }
  if (name === "TimeoutError" || code === "ETIMEDOUT" || code === "ESOCKETTIMEDOUT") {
    return fail("Timeout", `no answer ${at(place)}`, {
      hint: "is the store overloaded, or a firewall in between?",
    });
  }
  return undefined;
}

function ofStatus(error: Thrown, place: S3Place, fail: Fail): OperatorError {
  const { status, message, name } = error;
  const said = name === message || message === "UnknownError" ? name : `${name}: ${message}`;
  if (status === undefined) return fail("StoreFailed", said, { permanent: false });
  if (status === 301 || status === 307) return inAnotherRegion(error, place, fail);
  if (status === 400 && error.regionOfBucket !== undefined && error.regionOfBucket !== place.region) {
    return inAnotherRegion(error, place, fail);
  }
  if (status === 401 || status === 403) {
    return fail("Unauthorized", `the store refused it (${said})`, {
      hint: "the credentials need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads on the bucket and prefix",
    });
  }
  if (status === 404) return fail("NotFound", "there is no such object or bucket");
  if (status === 412) return fail("AlreadyExists", "an object of this name exists already");
  if (status === 408) return fail("Timeout", "the store waited too long for the request");
  if (status === 429 || status >= 500) {
    return fail("StoreFailed", `the store is busy or failed (HTTP ${status}, ${said})`, { permanent: false });
  }
  if (status < 400) {
    return fail("InvalidConfiguration", `the answer ${at(place)} is not S3's (HTTP ${status}, ${said})`, {
      hint: "is the endpoint that of an S3 store, not of its console or of a proxy's login page?",
    });
  }
  return fail("StoreFailed", `the store refused it (HTTP ${status}, ${said})`, { permanent: true });
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

/** Whether the same request may succeed a moment later. */
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

/** The unfinished upload, or a part of it, is not there: aborted by somebody, or completed already. */
export function isNoSuchUpload(error: unknown): boolean {
  return vanished.has(causeOf(error).name ?? "");
}

export function isNoSuchBucket(error: unknown): boolean {
  return causeOf(error).name === "NoSuchBucket";
}

/** The store does not know a header or parameter that was sent. */
export function isNotImplemented(error: unknown): boolean {
  const { name, status } = causeOf(error);
  return name === "NotImplemented" || status === 501;
}

function causeOf(error: unknown): { name?: string; status?: number } {
  return error instanceof OperatorError && error.cause instanceof Error ? error.cause : {};
}

function read(thrown: unknown): Thrown {
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
