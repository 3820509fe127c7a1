import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import { holdsOver } from "./holds.fixture.ts";

const { signal } = new AbortController();
const ref = { namespace: "ns", name: "s" };
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const minuteMs = 60_000;

/** One store in an API server in memory, and operators with Leases of their own. */
function begun() {
  const api = memoryApi();
  api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
  const time = { ms: Date.parse("2026-08-20T12:00:00Z") };
  const events: string[] = [];
  const operator = (lease: string) => {
    const resources = operatorResources(api.client, { check() {} });
    const holds = holdsOver(resources, {
      holder: { lease, durationMs: 15 * minuteMs },
      now: () => new Date(time.ms),
      clock: () => time.ms,
      events: { record: ({ type, reason, note }) => void events.push(`${type} ${reason}: ${note}`) },
    });
    const read = async () => (await resources.store(ref, signal)) ?? assert.fail("the store is gone");
    return { holds, read, look: async () => (await holds.hold(await read(), signal)).is };
  };
  const holder = () => api.object(stores, ref)?.status.operator?.lease;
  return { api, time, events, operator, holder };
}

describe("two operators with different Leases", () => {
  it("that see a new store at the same moment: one takes it, and the other leaves it alone", async () => {
    const { operator, holder } = begun();
    const [a, b] = [operator("a/operator"), operator("b/operator")];
    const [readByA, readByB] = [await a.read(), await b.read()];
    const held = [await a.holds.hold(readByA, signal), await b.holds.hold(readByB, signal)];
    assert.deepEqual(
      held.map(({ is }) => is),
      ["ours", "foreign"],
    );
    assert.equal(holder(), "a/operator");
  });

  it("do not fight while the holder renews, however late", async () => {
    const { operator, holder, time } = begun();
    const [a, b] = [operator("a/operator"), operator("b/operator")];
    for (let minute = 0; minute < 120; minute++) {
      if (minute % 14 === 0) assert.equal(await a.look(), "ours");
      assert.equal(await b.look(), "foreign");
      time.ms += minuteMs;
    }
    assert.equal(holder(), "a/operator");
  });

  it("change places once the holder is silent, and the former holder then leaves the store alone", async () => {
    const { operator, holder, time, events } = begun();
    const [a, b] = [operator("a/operator"), operator("b/operator")];
    await a.look();
    let minutes = 0;
    for (; (await b.look()) === "foreign"; minutes++) time.ms += minuteMs;
    assert.equal(minutes, 15);
    assert.equal(holder(), "b/operator");
    assert.equal(await a.look(), "foreign");
    assert.deepEqual(events, [
      "Normal TakenOver: the operator with Lease a/operator has not renewed its hold; the operator with Lease b/operator took over",
    ]);
  });

  it("the holder that comes back in a new process renews before it works", async () => {
    const { api, operator, time } = begun();
    await operator("a/operator").look();
    time.ms += 14 * minuteMs;
    assert.equal(await operator("a/operator").look(), "ours");
    assert.equal(api.object(stores, ref)?.status.operator?.renewTime, "2026-08-20T12:14:00Z");
  });

  it("the other reports each object once, and counts the stores", async () => {
    const { operator, events } = begun();
    await operator("a/operator").look();
    const { holds, read } = operator("b/operator");
    for (let pass = 0; pass < 3; pass++) holds.leave(await read(), "a/operator");
    assert.deepEqual(events, [
      "Warning HeldByAnotherOperator: held by the operator with Lease a/operator; the operator with Lease b/operator leaves it alone",
    ]);
    assert.equal(holds.foreignStores, 1);
    holds.keep("EtcdBackupStore", ref);
    assert.equal(holds.foreignStores, 0);
  });
});
