import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { classify, isInvalidToken, unusableTls } from "./errors.ts";

const endpoint = "https://m0:2379";

/** What grpc-js throws, the operation that it was thrown by, and both texts that come of it. */
const cases: [thrown: string, operation: string, code: ErrorCode, message: string, summary: string][] = [
  [
    "14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.1:2379",
    "status",
    "Unreachable",
    "status at https://m0:2379: connection refused",
    "connection refused",
  ],
  [
    "4 DEADLINE_EXCEEDED: Deadline exceeded after 5.0s",
    "status",
    "Timeout",
    "status at https://m0:2379: no answer in time",
    "no answer in time",
  ],
  [
    "4 DEADLINE_EXCEEDED: Deadline exceeded after 5.0s",
    "authentication",
    "Timeout",
    "authentication at https://m0:2379: no answer in time",
    "authentication: no answer in time",
  ],
  [
    "3 INVALID_ARGUMENT: etcdserver: authentication failed, invalid user ID or password",
    "authentication",
    "Unauthorized",
    "authentication at https://m0:2379 was refused: authentication failed, invalid user ID or password",
    "authentication was refused: authentication failed, invalid user ID or password",
  ],
  [
    "2 UNKNOWN: etcdserver: permission denied",
    "status",
    "Unauthorized",
    "status at https://m0:2379 was refused: permission denied",
    "was refused: permission denied",
  ],
  [
    "11 OUT_OF_RANGE: etcdserver: mvcc: required revision has been compacted",
    "HashKV",
    "SnapshotFailed",
    "HashKV at https://m0:2379 failed: mvcc: required revision has been compacted",
    "HashKV failed: mvcc: required revision has been compacted",
  ],
];

for (const [thrown, operation, code, message, summary] of cases) {
  test(`a ${operation} call that ends with "${thrown}" is ${code}, with and without its endpoint`, () => {
    const error = classify(new Error(thrown), { operation, endpoint });
    assert.deepEqual([error.code, error.message, error.summary], [code, message, summary]);
  });
}

test("an error that is classified already stays as it is", () => {
  const error = new OperatorError("SnapshotFailed", "the stream ended early");
  assert.equal(classify(error, { operation: "snapshot", endpoint }), error);
});

test("a rejected token is recognized in what etcd answered, before and after classification", () => {
  for (const text of ["invalid auth token", "revision in header is old"]) {
    const answer = new Error(`16 UNAUTHENTICATED: etcdserver: ${text}`);
    assert.equal(isInvalidToken(answer), true);
    assert.equal(isInvalidToken(classify(answer, { operation: "snapshot", endpoint })), true);
  }
  assert.equal(isInvalidToken(new OperatorError("Unauthorized", "snapshot: invalid auth token")), false);
});

test("the text of a TLS failure names the cause, and the certificate's names where they are the cause", () => {
  const causes: [string, RegExp][] = [
    ["unable to get local issuer certificate", /not signed by an authority/],
    ["Host: m0. is not in the cert's altnames: DNS:m1, DNS:m2", /does not name m0, but DNS:m1, DNS:m2$/],
    ["error:0A000412:SSL routines::ssl/tls alert bad certificate", /does not accept the client certificate/],
  ];
  for (const [details, cause] of causes) {
    const error = classify(new Error(`14 UNAVAILABLE: ${details}`), { operation: "status", endpoint });
    assert.match(error.message, /^status at https:\/\/m0:2379: TLS failed: /);
    assert.match(error.message, cause);
    assert.match(unusableTls(new Error(details)).message, cause);
  }
});
