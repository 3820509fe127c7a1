import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { noLog } from "../../core/log.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { storeReconciler } from "./reconcile.ts";

const { signal } = new AbortController();
const ref = { namespace: "ns", name: "s" };
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const minuteMs = 60_000;

/** One EtcdBackupStore in an API server and a bucket, both in memory. */
function begun() {
  let clock = Date.parse("2026-08-20T12:00:00Z");
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
  const bucket = memoryStore();
  const reconcile = storeReconciler({
    resources: operatorResources(api.client, { check() {} }),
    openStore: async () => bucket,
    events: { record() {} },
    now,
    log: noLog,
  });
  return {
    api,
    bucket,
    /** One pass. Resolves to the kinds of calls to the bucket. */
    async pass(): Promise<string[]> {
      bucket.calls.length = 0;
      await reconcile(ref, signal);
      return bucket.calls.map((call) => call.slice(0, call.indexOf(" ")));
    },
    later(ms: number) {
      clock += ms;
    },
    status: () => api.object(stores, ref)?.status,
  };
}

describe("a probe of a store", () => {
  it("lists the store once, counts the backups, and sweeps at the first one and then every hour", async () => {
    const { bucket, pass, later, status } = begun();
    for (let n = 1; n <= 3; n++) addBackup(bucket, { time: `2026-08-0${n}T12:00:00Z`, runId: `run${n}` });
    const orphan = addBackup(bucket, { time: "2026-08-04T12:00:00Z", runId: "orphan" });
    bucket.objects.delete(orphan.object);
    assert.deepEqual(await pass(), ["probe", "list", "sweep", "remove", "get"]);
    assert.ok(!bucket.objects.has(orphan.data));
    assert.equal(status()?.backups, 3);
    for (let minute = 5; minute < 60; minute += 5) {
      later(5 * minuteMs);
      assert.deepEqual(await pass(), ["probe", "list", "get"]);
    }
    later(5 * minuteMs);
    assert.deepEqual(await pass(), ["probe", "list", "sweep", "get"]);
  });

  it("sweeps at once where the spec has changed, and after a clock was set back", async () => {
    const { api, pass, later } = begun();
    await pass();
    assert.deepEqual(await pass(), ["probe", "list"]);
    api.change(stores, ref, (store) => {
      store.spec.s3 = { bucket: "others", forcePathStyle: false };
    });
    assert.deepEqual(await pass(), ["probe", "list", "sweep"]);
    later(-120 * minuteMs);
    assert.deepEqual(await pass(), ["probe", "list", "sweep"]);
  });

  it("of a ReadOnly store never sweeps", async () => {
    const { api, pass } = begun();
    api.change(stores, ref, (store) => {
      store.spec.accessMode = "ReadOnly";
    });
    assert.deepEqual(await pass(), ["probe", "list"]);
  });

  it("that failed leaves the sweep due", async () => {
    const { bucket, pass } = begun();
    bucket.beforeCall = (call) => {
      if (call === "list") throw new Error("reset");
    };
    assert.deepEqual(await pass(), ["probe", "list"]);
    bucket.beforeCall = () => {};
    assert.deepEqual(await pass(), ["probe", "list", "sweep"]);
  });
});
