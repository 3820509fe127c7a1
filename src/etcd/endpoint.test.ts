import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import timers from "node:timers/promises";
import { openEndpoint } from "./endpoint.ts";

/** Of this machine; nobody listens on it any more. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

test("each of many that ask a member that is down at once is told why", async () => {
  const url = `http://127.0.0.1:${await closedPort()}`;
  const { signal } = new AbortController();
  const told = new Set<string>();
  const ask = async (): Promise<void> => {
    await using endpoint = openEndpoint(url, { timeoutMs: 10_000 });
    await endpoint.status(signal).catch((error: unknown) => told.add(String(error)));
  };
  const asking: Promise<void>[] = [];
  // Some ask at the moment in which the connection of another has just been refused.
  for (let count = 0; count < 100; count += 1) {
    asking.push(ask());
    await timers.setImmediate();
  }
  await Promise.all(asking);
  assert.deepEqual([...told], [`OperatorError: status at ${url}: connection refused`]);
});
