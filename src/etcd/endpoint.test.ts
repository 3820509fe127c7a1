import assert from "node:assert/strict";
import { test } from "node:test";
import timers from "node:timers/promises";
import { freePorts } from "../../test/harness/ports.ts";
import { openEndpoint } from "./endpoint.ts";

test("of many endpoints that ask a stopped member at once each gets the reason", async () => {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const { signal } = new AbortController();
  const errors = new Set<string>();
  const ask = async (): Promise<void> => {
    await using endpoint = openEndpoint(url, { timeoutMs: 10_000 });
    await endpoint.status(signal).catch((error: unknown) => errors.add(String(error)));
  };
  const asking: Promise<void>[] = [];
  // Some ask at the moment when the connection of another endpoint has just been refused.
  for (let count = 0; count < 100; count += 1) {
    asking.push(ask());
    await timers.setImmediate();
  }
  await Promise.all(asking);
  assert.deepEqual([...errors], [`OperatorError: status at ${url}: connection refused`]);
});
