import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import type { ApiCall } from "../request.ts";
import { createEventRecorder, type RecordedEvent, type RecorderOptions } from "./recorder.ts";
import { noLog } from "../../core/log.ts";

type Client = Parameters<typeof createEventRecorder>[0];

const regarding = (name: string): RecordedEvent["regarding"] => ({
  apiVersion: "etcdbackup.dev/v1alpha1",
  kind: "EtcdBackup",
  metadata: {
    name,
    namespace: "prod",
    uid: `uid-${name}`,
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: "2026-01-01T00:00:00Z",
  },
});

const failed = (name: string, note = "503"): RecordedEvent => ({
  regarding: regarding(name),
  type: "Warning",
  reason: "UploadFailed",
  action: "Backup",
  note,
});

/** Keeps what is written; `fail` may throw for a write. */
function server(fail: (what: string) => void = () => {}) {
  const written: string[] = [];
  const client: Client = {
    async create(_kind, draft) {
      fail(`create ${written.length}`);
      const { note, series } = draft as unknown as { note: string; series?: { count: number } };
      written.push(`create ${draft.metadata.namespace} ${note} ${series?.count ?? 1}`);
      return draft as never;
    },
    async request(call: ApiCall) {
      fail("patch");
      const { series } = call.body as { series: { count: number } };
      written.push(`count ${series.count}`);
      return {};
    },
  };
  return { client, written };
}

function recorder(client: Client, options: RecorderOptions = {}) {
  return createEventRecorder(client, { instance: "test", now: () => 0, ...options });
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("events", () => {
  test("are written once and then counted", async () => {
    const { client, written } = server();
    await using events = recorder(client);
    events.record(failed("a"));
    await settled();
    events.record(failed("a"));
    await settled();
    for (let n = 0; n < 50; n += 1) events.record(failed("a"));
    await settled();
    assert.deepEqual(written, ["create prod 503 1", "count 2", "count 3", "count 52"]);
  });

  test("that are recorded before the first was written are one with a count", async () => {
    const { client, written } = server();
    {
      await using events = recorder(client, { rate: { burst: 0, refillMs: 60_000 } });
      for (let n = 0; n < 5; n += 1) events.record(failed("a"));
    }
    assert.deepEqual(written, ["create prod 503 5"]);
  });

  test("of an object beyond its rate wait; those of another object do not", async () => {
    const { client, written } = server();
    await using events = recorder(client, { rate: { burst: 2, refillMs: 3_600_000 } });
    for (const note of ["1", "2", "3"]) events.record(failed("noisy", note));
    events.record(failed("quiet", "4"));
    await settled();
    assert.deepEqual(written, ["create prod 1 1", "create prod 2 1", "create prod 4 1"]);
  });

  test("that wait are written when the recorder is disposed of", async () => {
    const { client, written } = server();
    {
      await using events = recorder(client, { rate: { burst: 1, refillMs: 3_600_000 } });
      events.record(failed("a", "1"));
      await settled();
      events.record(failed("a", "2"));
      events.record(failed("a", "1"));
    }
    assert.deepEqual(written.toSorted(), ["count 2", "create prod 1 1", "create prod 2 1"]);
  });
});

describe("events that fail", () => {
  test("because the server has deleted them are created again", async () => {
    const { client, written } = server((what) => {
      if (what === "patch") throw new OperatorError("NotFound", "gone");
    });
    await using events = recorder(client);
    events.record(failed("a"));
    await settled();
    events.record(failed("a"));
    await settled();
    assert.deepEqual(written, ["create prod 503 1", "create prod 503 2"]);
  });

  test("to be written are logged and not tried again", async () => {
    const warned: unknown[] = [];
    const log = { ...noLog, warn: (fields: object) => warned.push(fields) };
    const { client, written } = server((what) => {
      if (what === "create 0" && warned.length === 0) throw new OperatorError("Unauthorized", "not allowed");
    });
    await using events = recorder(client, { log });
    events.record(failed("a", "lost"));
    await settled();
    events.record(failed("a", "next"));
    await settled();
    assert.deepEqual(warned, [
      { code: "Unauthorized", error: "not allowed", object: "a", reason: "UploadFailed", note: "lost" },
    ]);
    assert.deepEqual(written, ["create prod next 1"]);
  });

  test("for lack of room are dropped with a warning", async () => {
    const warned: unknown[] = [];
    const log = { ...noLog, warn: (_fields: object, message: string) => warned.push(message) };
    const { client, written } = server();
    await using events = recorder(client, { log, maxSeries: 2 });
    for (const note of ["1", "2", "3"]) events.record(failed("a", note));
    await settled();
    assert.deepEqual(written, ["create prod 1 1", "create prod 2 1"]);
    assert.deepEqual(warned, ["too many events: one was not written"]);
  });
});
