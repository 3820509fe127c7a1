import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import type { ErrorCode } from "../../core/errors.ts";
import { classifyS3, isTransient } from "./errors.ts";

const place = { bucket: "backups", region: "us-east-1", endpoint: "https://minio:9000" };

function answer(name: string, status: number, message = "text of the store"): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status, requestId: "r-1" } });
}

function broken(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

const cases: [string, Error, ErrorCode, "retried" | "not retried"][] = [
  ["a missing bucket", answer("NoSuchBucket", 404), "NotFound", "not retried"],
  ["a missing object", answer("NoSuchKey", 404), "NotFound", "not retried"],
  ["a HEAD of a missing object", answer("NotFound", 404, "UnknownError"), "NotFound", "not retried"],
  ["a name that is taken", answer("PreconditionFailed", 412), "AlreadyExists", "not retried"],
  ["an unknown access key", answer("InvalidAccessKeyId", 403), "Unauthorized", "not retried"],
  ["versitygw's unknown access key", answer("XAdminUserNotFound", 404), "Unauthorized", "not retried"],
  ["an expired token", answer("ExpiredToken", 400), "Unauthorized", "not retried"],
  ["a HEAD that is forbidden", answer("403", 403, "UnknownError"), "Unauthorized", "not retried"],
  ["no credentials", answer("CredentialsProviderError", 0), "Unauthorized", "not retried"],
  ["throttling", answer("SlowDown", 503), "StoreFailed", "retried"],
  ["an unnamed 503", answer("UnknownError", 503), "StoreFailed", "retried"],
  ["a 429", answer("TooManyRequestsException", 429), "StoreFailed", "retried"],
  ["a 200 that holds an error", answer("InternalError", 200), "StoreFailed", "retried"],
  ["a slow request", answer("RequestTimeout", 400), "Timeout", "retried"],
  ["a bad argument", answer("InvalidArgument", 400), "StoreFailed", "not retried"],
  ["a header it does not know", answer("NotImplemented", 501), "StoreFailed", "not retried"],
  ["a vanished upload", answer("NoSuchUpload", 404), "StoreFailed", "not retried"],
  ["a damaged part", answer("BadDigest", 400), "VerificationFailed", "retried"],
  ["another region", answer("AuthorizationHeaderMalformed", 400), "InvalidConfiguration", "not retried"],
  ["a redirect", answer("UnknownError", 301), "InvalidConfiguration", "not retried"],
  ["a page of HTML", answer("SyntaxError", 200), "InvalidConfiguration", "not retried"],
  ["a refused connection", broken("ECONNREFUSED"), "Unreachable", "retried"],
  [
    "a broken connection",
    Object.assign(broken("ECONNRESET"), { name: "TimeoutError" }),
    "Unreachable",
    "retried",
  ],
  ["an unknown host", broken("ENOTFOUND"), "Unreachable", "retried"],
  ["an unnamed broken connection", new Error("socket hang up"), "Unreachable", "retried"],
  ["silence", Object.assign(new Error("slow"), { name: "TimeoutError" }), "Timeout", "retried"],
  ["an unknown authority", broken("SELF_SIGNED_CERT_IN_CHAIN"), "InvalidConfiguration", "not retried"],
  [
    "a certificate for another name",
    broken("ERR_TLS_CERT_ALTNAME_INVALID"),
    "InvalidConfiguration",
    "not retried",
  ],
  ["an expired certificate", broken("CERT_HAS_EXPIRED"), "InvalidConfiguration", "not retried"],
  [
    "http where https was expected",
    broken("EPROTO", "wrong version number"),
    "InvalidConfiguration",
    "not retried",
  ],
];

describe("an error of the store", () => {
  for (const [what, thrown, code, retry] of cases) {
    it(`${what} is ${code} and ${retry}`, () => {
      const error = classifyS3(thrown, "reading backups/x", place);
      assert.equal(error.code, code, error.message);
      assert.equal(isTransient(error), retry === "retried", error.message);
      assert.match(error.message, /^reading backups\/x: /);
    });
  }

  it("names the region of the bucket, from the header or the message", () => {
    const fromMessage = answer(
      "AuthorizationHeaderMalformed",
      400,
      "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
    );
    const fromHeader = Object.assign(answer("301", 301), {
      $response: { headers: { "x-amz-bucket-region": "eu-west-1" } },
    });
    for (const thrown of [fromMessage, fromHeader]) {
      const error = classifyS3(thrown, "reading x", place);
      assert.equal(error.message, "reading x: bucket backups is in region eu-west-1, not in us-east-1");
    }
  });

  it("holds nothing of the request in its cause, printed to any depth", () => {
    const thrown = Object.assign(answer("AccessDenied", 403), {
      $response: {
        headers: { "x-amz-id-2": "id" },
        req: { headers: { authorization: "AWS4-HMAC-SHA256 Credential=AKIA" } },
      },
      AWSAccessKeyId: "AKIA",
      StringToSign: "AWS4 AKIA",
    });
    const shown = inspect(classifyS3(thrown, "reading x", place), { depth: 20, showHidden: true });
    assert.doesNotMatch(shown, /AKIA|AWS4/);
    assert.match(shown, /r-1/);
  });
});
