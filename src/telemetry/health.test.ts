import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { test } from "node:test";
import { Counter, Gauge, Registry } from "prom-client";
import { OperatorError } from "../core/errors.ts";
import { serveHealth } from "./health.ts";

async function serve(notReady: () => string[] = () => [], registry = new Registry()) {
  const server = await serveHealth({ address: "127.0.0.1:0", notReady, registry });
  const ask = async (path: string, init?: RequestInit) => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
    return { status: answer.status, type: answer.headers.get("content-type"), body: await answer.text() };
  };
  return { server, ask };
}

test("/healthz answers 200 while the process runs, ready or not", async () => {
  const { server, ask } = await serve(() => ["everything"]);
  await using _ = server;
  assert.deepEqual(await ask("/healthz"), { status: 200, type: "text/plain", body: "ok\n" });
});

test("/readyz answers 503 with what is missing, and 200 when nothing is missing", async () => {
  let missing = ["the cache of EtcdBackup", "the API server"];
  const { server, ask } = await serve(() => missing);
  await using _ = server;
  const waiting = await ask("/readyz");
  assert.equal(waiting.status, 503);
  assert.equal(waiting.body, "waiting for the cache of EtcdBackup, the API server\n");
  missing = [];
  assert.equal((await ask("/readyz?verbose=1")).status, 200);
});

test("/metrics serves the registry in Prometheus' format", async () => {
  const registry = new Registry();
  new Counter({ name: "things_total", help: "Things.", registers: [registry] }).inc(3);
  const { server, ask } = await serve(undefined, registry);
  await using _ = server;
  const { status, type, body } = await ask("/metrics");
  assert.equal(status, 200);
  assert.match(type ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(body, /^things_total 3$/m);
});

test("a metric that cannot be collected is a 500, and the server keeps running", async () => {
  const registry = new Registry();
  new Gauge({
    name: "broken",
    help: "Broken.",
    registers: [registry],
    collect() {
      throw new Error("secret detail");
    },
  });
  const { server, ask } = await serve(undefined, registry);
  await using _ = server;
  assert.deepEqual(await ask("/metrics"), { status: 500, type: "text/plain", body: "metrics failed\n" });
  assert.equal((await ask("/healthz")).status, 200);
});

test("other paths are 404 with the names of the valid ones, other methods are 405, and HEAD is answered", async () => {
  const { server, ask } = await serve();
  await using _ = server;
  const lost = await ask("/");
  assert.equal(lost.status, 404);
  assert.match(lost.body, /\/healthz, \/readyz and \/metrics/);
  for (const method of ["POST", "PUT", "DELETE"]) {
    for (const path of ["/healthz", "/readyz", "/metrics"])
      assert.equal((await ask(path, { method })).status, 405, `${method} ${path}`);
  }
  assert.deepEqual(await ask("/healthz", { method: "HEAD" }), { status: 200, type: "text/plain", body: "" });
});

test("a taken port and an invalid address are usage errors that name the address", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  for (const [given, says] of [
    [`127.0.0.1:${port}`, /EADDRINUSE/],
    ["8080", /is not host:port/],
    [":99999", /is not host:port/],
    ["host:", /is not host:port/],
  ] as const) {
    const starting = serveHealth({ address: given, notReady: () => [], registry: new Registry() });
    await assert.rejects(starting, (error) => {
      assert.ok(error instanceof OperatorError);
      assert.equal(error.code, "Usage");
      assert.match(error.message, says);
      assert.ok(error.message.includes(given));
      return true;
    });
  }
  taken.close();
});

test("disposing of it closes open connections", async () => {
  const { server, ask } = await serve();
  await ask("/healthz");
  await server[Symbol.asyncDispose]();
  await assert.rejects(fetch(`http://127.0.0.1:${server.port}/healthz`));
});

test("an IPv6 address is given in brackets", async (t) => {
  const starting = serveHealth({ address: "[::1]:0", notReady: () => [], registry: new Registry() });
  const server = await starting.catch((error: unknown) => String(error));
  if (typeof server === "string") return t.skip(`no IPv6 here: ${server}`);
  await using _ = server;
  assert.equal((await fetch(`http://[::1]:${server.port}/healthz`)).status, 200);
});
