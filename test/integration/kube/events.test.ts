import assert from "node:assert/strict";
import { after, test } from "node:test";
import { connect } from "../../../src/kube/client.ts";
import { type KubeEvent, events } from "../../../src/kube/events/writer.ts";
import { createEventRecorder } from "../../../src/kube/events/recorder.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { eventually } from "../../support/eventually.ts";
import { defineWidgets, type Widget, widgets } from "../../support/kube-widgets.ts";

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
const server = owned.use(await startApiServer());
await defineWidgets(server);
const client = owned.use(await connect({ kubeconfig: server.kubeconfigPath }));
const { signal } = new AbortController();
const never = { signal };
const namespace = "default";

const create = (name: string): Promise<Widget> =>
  client.create(widgets, { metadata: { namespace, name }, spec: { size: 1 } }, never);

const failed = (regarding: Widget, note: string) =>
  ({ regarding, type: "Warning", reason: "UploadFailed", action: "Backup", note }) as const;

async function eventsOf(widget: Widget) {
  const { items } = await client.list(events, { namespace, ...never });
  return items.filter((event) => event.regarding.uid === widget.metadata.uid);
}

/** Waits until the first event about the widget meets the condition, and returns it. */
async function eventOf(widget: Widget, condition: (event: KubeEvent) => boolean = () => true) {
  let found: KubeEvent | undefined;
  await eventually(`an event about ${widget.metadata.name}`, async () => {
    [found] = await eventsOf(widget);
    return found !== undefined && condition(found);
  });
  return found ?? assert.fail();
}

test("kubectl describe shows recorded events and their counts", async () => {
  const widget = await create("described");
  {
    await using recorder = createEventRecorder(client);
    for (let n = 0; n < 3; n += 1) recorder.record(failed(widget, "the store answered 503"));
    recorder.record({
      regarding: widget,
      type: "Normal",
      reason: "SnapshotStarted",
      action: "Backup",
      note: "attempt 1",
    });
  }
  const text = await server.kubectl(["describe", "widget", "described"]);
  assert.match(text, /Warning\s+UploadFailed\s+.*etcdbackup\.dev\/operator.*\s+the store answered 503/);
  assert.match(text, /Normal\s+SnapshotStarted\s+.*attempt 1/);
  const found = await eventsOf(widget);
  assert.deepEqual(
    found
      .map(({ reason, series }) => [reason, series?.count])
      .toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
    [
      ["SnapshotStarted", undefined],
      ["UploadFailed", 3],
    ],
  );
});

test("a repeated event increases the count of the existing event and updates its last time", async () => {
  const widget = await create("counted");
  let now = Date.parse("2026-01-01T00:00:00Z");
  const record = async (recorder: ReturnType<typeof createEventRecorder>, count: number | undefined) => {
    recorder.record(failed(widget, "503"));
    return eventOf(widget, (event) => event.series?.count === count);
  };
  await using recorder = createEventRecorder(client, { now: () => now });
  const first = await record(recorder, undefined);
  now += 60_000;
  await record(recorder, 2);
  now += 60_000;
  const last = await record(recorder, 3);
  assert.equal(last.metadata.name, first.metadata.name);
  assert.equal(last.eventTime, "2026-01-01T00:00:00.000000Z");
  assert.equal(last.series?.lastObservedTime, "2026-01-01T00:02:00.000000Z");
});

test("an event that has expired on the server is created anew", async () => {
  const widget = await create("expired");
  await using recorder = createEventRecorder(client);
  recorder.record(failed(widget, "503"));
  const event = await eventOf(widget);
  await client.remove(events, { namespace, name: event.metadata.name }, never);
  recorder.record(failed(widget, "503"));
  const again = await eventOf(widget);
  assert.notEqual(again.metadata.name, event.metadata.name);
  assert.equal(again.series?.count, 2);
});

test("an event with the longest name and a long note is accepted, with the note cut", async () => {
  const widget = await create("n".repeat(253));
  {
    await using recorder = createEventRecorder(client, { instance: "host.".repeat(40) });
    recorder.record(failed(widget, "ä".repeat(4_000)));
  }
  const [event] = await eventsOf(widget);
  assert.ok(event !== undefined);
  assert.match(event.note, /^ä+…$/);
  assert.ok(Buffer.byteLength(event.note) > 1_000);
});

test("without permission to write events the recorder logs a warning and goes on", async () => {
  const widget = await create("forbidden");
  await using guest = await connect({ kubeconfig: await server.userKubeconfig("guest") });
  const warned: Record<string, unknown>[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (fields: Record<string, unknown>) => warned.push(fields),
    error: assert.fail,
  };
  {
    await using recorder = createEventRecorder(guest, { log });
    recorder.record(failed(widget, "503"));
  }
  assert.deepEqual(
    warned.map(({ code, object }) => [code, object]),
    [["Unauthorized", "forbidden"]],
  );
});
