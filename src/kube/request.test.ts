import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ApiCall, callApi } from "./request.ts";
import type { Connection, HttpAnswer, HttpRequest } from "./connection.ts";

type Reply = { status: number; headers?: Record<string, string>; body?: unknown } | Error | "silence";

/** A connection that gives these replies, the last one for ever. */
function scripted(...replies: Reply[]) {
  const requests: HttpRequest[] = [];
  let reloads = 0;
  const connection: Connection = {
    server: "https://kube",
    namespace: "default",
    async exchange(request, signal) {
      const reply = replies[Math.min(requests.length, replies.length - 1)] ?? "silence";
      requests.push(request);
      if (reply === "silence") return await aborted(signal);
      if (reply instanceof Error) throw reply;
      return answer(reply);
    },
    async reload() {
      reloads += 1;
    },
    async [Symbol.asyncDispose]() {},
  };
  return { connection, requests, reloads: () => reloads };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
  );
}

function answer({ status, headers = {}, body = {} }: Exclude<Reply, Error | string>): HttpAnswer {
  const bytes = async function* () {
    yield Buffer.from(JSON.stringify(body));
  };
  return { status, headers: { "content-type": "application/json", ...headers }, body: bytes() };
}

function broken(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

const read: ApiCall = {
  verb: "get",
  resource: "pods",
  of: "prod/a",
  method: "GET",
  path: "/api/v1/namespaces/prod/pods/a",
  repeatable: true,
};
const create: ApiCall = { ...read, verb: "create", method: "POST", body: {}, repeatable: false };
const { signal } = new AbortController();
const ok: Reply = { status: 200, body: { fine: true } };

describe("a call is tried again", () => {
  for (const reply of [
    { status: 429 },
    { status: 500 },
    { status: 503 },
    broken("ECONNRESET"),
    broken("ECONNREFUSED"),
  ]) {
    const what = reply instanceof Error ? reply.message : reply.status;
    test(`after ${what}`, async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { connection, requests } = scripted(reply, ok);
      const called = callApi(connection, read, signal);
      await settled();
      t.mock.timers.tick(250);
      assert.deepEqual(await called, { fine: true });
      assert.equal(requests.length, 2);
    });
  }

  test("after as long as the server asks for", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { connection, requests } = scripted({ status: 429, headers: { "retry-after": "7" } }, ok);
    const called = callApi(connection, create, signal);
    await settled();
    t.mock.timers.tick(6_999);
    await settled();
    assert.equal(requests.length, 1);
    t.mock.timers.tick(1);
    await called;
    assert.equal(requests.length, 2);
  });

  test("a few times, then its error is the last one", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { connection, requests } = scripted({ status: 503, body: { message: "etcd is away" } });
    const called = assert.rejects(callApi(connection, read, signal), {
      code: "Unreachable",
      permanent: false,
      message: "get pods prod/a: the API server failed: etcd is away",
    });
    for (let n = 0; n < 10; n += 1) {
      await settled();
      t.mock.timers.tick(30_000);
    }
    await called;
    assert.equal(requests.length, 5);
  });

  test("once with fresh credentials after 401", async () => {
    const renewed = scripted({ status: 401 }, ok);
    assert.deepEqual(await callApi(renewed.connection, read, signal), { fine: true });
    const refused = scripted({ status: 401 });
    await assert.rejects(callApi(refused.connection, read, signal), { code: "Unauthorized" });
    assert.deepEqual([refused.requests.length, refused.reloads()], [2, 1]);
  });
});

describe("a call is not tried again", () => {
  const cases: [string, ApiCall, Reply, string][] = [
    ["when it may have created something: 500", create, { status: 500 }, "Unreachable"],
    ["when it may have created something: a broken connection", create, broken("ECONNRESET"), "Unreachable"],
    ["when the name does not resolve", read, broken("ENOTFOUND"), "Unreachable"],
    ["when the certificate is wrong", read, broken("SELF_SIGNED_CERT_IN_CHAIN"), "Unreachable"],
    ["when it is not allowed", read, { status: 403, body: { message: "no" } }, "Unauthorized"],
    ["when a quota is used up", create, { status: 403, body: { message: "exceeded quota: x" } }, "Refused"],
    ["when it is not there", read, { status: 404, body: { details: { name: "a" } } }, "NotFound"],
    ["when it conflicts", read, { status: 409, body: { reason: "Conflict" } }, "Conflict"],
    ["when it is not valid", read, { status: 422, body: { message: "spec.x" } }, "InvalidConfiguration"],
    ["when the server gave up", create, { status: 504 }, "Timeout"],
  ];
  for (const [name, call, reply, code] of cases) {
    test(name, async () => {
      const { connection, requests } = scripted(reply);
      await assert.rejects(callApi(connection, call, signal), { name: "OperatorError", code });
      assert.equal(requests.length, 1);
    });
  }

  test("when there was no answer in time", async () => {
    const { connection, requests } = scripted("silence");
    await assert.rejects(callApi(connection, { ...read, timeoutMs: 5 }, signal), { code: "Timeout" });
    assert.equal(requests.length, 1);
  });

  test("when the signal fires while it waits", async () => {
    const stopping = new AbortController();
    const { connection, requests } = scripted({ status: 429, headers: { "retry-after": "30" } });
    const called = callApi(connection, read, stopping.signal);
    await settled();
    stopping.abort();
    await assert.rejects(called, { name: "AbortError" });
    assert.equal(requests.length, 1);
  });
});

test("a query leaves out what is not given and escapes the rest", async () => {
  const { connection, requests } = scripted(ok);
  await callApi(
    connection,
    { ...read, path: "/x", query: { labelSelector: "a in (b,c)", limit: undefined } },
    signal,
  );
  assert.equal(requests[0]?.path, "/x?labelSelector=a+in+%28b%2Cc%29");
});

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
