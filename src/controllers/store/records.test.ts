import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { OperatorError } from "../../core/errors.ts";
import { noLog } from "../../core/log.ts";
import { KnownBackups } from "../../core/store/known-backups.ts";
import { importAnnotation, recordName } from "../../core/store/records.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import { factsOf } from "../../store/kinds.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { KeyedMutex } from "../keyed-mutex.ts";
import { keyOf } from "../reconciler.ts";
import { Catalogs } from "./catalogs.ts";
import { holdsOver } from "./holds.fixture.ts";
import { storeReconciler } from "./reconcile.ts";

const { signal } = new AbortController();
const ref = { namespace: "ns", name: "s" };
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const begin = Date.parse("2026-08-20T12:00:00Z");
const hourMs = 3_600_000;

/** One EtcdBackupStore in a Kubernetes cluster that is new, and a bucket with backups of these hours. */
function begun(...hours: number[]) {
  let clock = begin + 100 * hourMs;
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  const fence = { isOpen: true };
  const bucket = memoryStore();
  bucket.now = now;
  const events: string[] = [];
  const fenced = {
    check() {
      if (!fence.isOpen) throw new OperatorError("Aborted", "this operator no longer leads");
    },
  };
  const resources = operatorResources(api.client, fenced);
  const holds = holdsOver(resources, { now, clock: () => clock });
  /** The EtcdBackups as the watch shows them. */
  function watched(): KnownBackups {
    const known = new KnownBackups();
    for (const backup of api.objects(backups)) known.set(keyOf(backup.metadata), backup);
    return known;
  }
  let catalogs = new Catalogs(now);
  const startProcess = () => {
    catalogs = new Catalogs(now);
    const known = { isKnown: watched().isKnown, recordsOf: watched().recordsOf };
    known.isKnown = (place) => watched().isKnown(place);
    known.recordsOf = (...of) => watched().recordsOf(...of);
    return storeReconciler({
      resources,
      backupsNeeding: () => 0,
      guards: new KeyedMutex(),
      writers: new Map(),
      catalogs,
      reports: { find: () => undefined },
      known: known as KnownBackups,
      holds,
      openStore: async () => bucket,
      factsOf,
      events: { record: ({ reason, note }) => void events.push(`${reason}: ${note}`) },
      now,
      log: noLog,
    });
  };
  let reconcile = startProcess();
  const world = {
    api,
    bucket,
    fence,
    events,
    store: (hour: number, clusterName = "prod") =>
      addBackup(
        bucket,
        {
          clusterName,
          time: `${new Date(begin + hour * hourMs).toISOString().slice(0, 19)}Z`,
          revision: hour,
          runId: `run${hour}`,
        },
        new Date(begin + hour * hourMs),
      ),
    restart() {
      reconcile = startProcess();
    },
    pass: () => reconcile(ref, signal),
    catalog: () =>
      catalogs.find(api.object(stores, ref) ?? assert.fail()) ?? assert.fail("nothing was listed"),
    /** Passes until the next probe is due. Resolves to their number. */
    async settle(): Promise<number> {
      for (let passes = 1; ; passes++) if ((await reconcile(ref, signal))?.againAfterMs !== 0) return passes;
    },
    later: (ms: number) => void (clock += ms),
    change: (change: (store: EtcdBackupStore) => void) => api.change(stores, ref, change),
    status: () => api.object(stores, ref)?.status,
    records: () => api.objects(backups).map(({ metadata }) => metadata.name),
    hours: () =>
      api.objects(backups).map(({ spec }) => Number(/-r0*(\d+)-/.exec(spec.imported?.backup ?? "")?.[1])),
  };
  api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
  for (const hour of hours) world.store(hour);
  return world;
}

describe("the backups in a store", () => {
  it("appear as EtcdBackups that import them, with a label, and status and one event say how many", async () => {
    const { api, store, settle, status, events } = begun(1, 2);
    const { manifest } = store(3, "lab");
    assert.equal(await settle(), 1);
    const name = recordName({ clusterName: "lab", name: manifest.name });
    const record = api.object(backups, { namespace: "ns", name });
    assert.equal(api.objects(backups).length, 3);
    assert.deepEqual(record?.metadata.labels, { "etcdbackup.dev/imported": "true" });
    const { clusterName, storeRef, imported, etcd, deletionPolicy } = record?.spec ?? {};
    assert.deepEqual(
      { clusterName, storeRef, imported, etcd, deletionPolicy },
      {
        clusterName: "lab",
        storeRef: { name: "s" },
        imported: { backup: manifest.name },
        etcd: undefined,
        deletionPolicy: "Retain",
      },
    );
    const { imported: count, nameClashes, listedTime } = status()?.catalog ?? {};
    assert.deepEqual([count, nameClashes, listedTime], [3, 0, "2026-08-24T16:00:00Z"]);
    const ofImport = events.filter((text) => text.startsWith("BackupsImported"));
    assert.deepEqual(ofImport, ["BackupsImported: 3 EtcdBackups record backups that the store holds"]);
  });

  it("come in batches, without a probe in between, and a restart in the middle goes on", async () => {
    const { bucket, settle, pass, records, restart, status } = begun();
    for (let at = 0; at < 6; at++)
      for (let hour = 0; hour < 30; hour++)
        addBackup(
          bucket,
          { clusterName: `c${at}`, time: new Date(begin + hour * hourMs).toISOString() },
          new Date(begin),
        );
    await pass();
    assert.equal(records().length, 50);
    assert.equal(status()?.catalog?.importedUntil, undefined, "a crash here loses nothing");
    restart();
    bucket.calls.length = 0;
    assert.equal(await settle(), 3);
    assert.equal(records().length, 180);
    assert.equal(
      bucket.calls.filter((call) => call === "list ").length,
      2,
      "the first and the last pass probe",
    );
    assert.equal(status()?.catalog?.imported, 180);
  });

  it("are left out when they are damaged, and the manifest of each is read once", async () => {
    const { bucket, store, settle, hours } = begun(1);
    bucket.objects.delete(store(2).data);
    bucket.objects.set(store(3).object, Buffer.from("{"));
    await settle();
    assert.deepEqual(hours(), [1]);
    bucket.calls.length = 0;
    await settle();
    await settle();
    assert.ok(bucket.calls.filter((call) => call.startsWith("get ")).length <= 1, bucket.calls.join());
  });

  for (const probes of [0, 3]) {
    it(`stay away when a person deletes their records, also after a restart ${probes} probes later, until a person asks`, async () => {
      const { api, settle, restart, hours, change, later, status } = begun(1, 2);
      await settle();
      for (const { metadata } of api.objects(backups)) api.remove(backups, metadata);
      for (let probe = 0; probe < probes; probe++) {
        later(5 * 60_000);
        await settle();
      }
      assert.deepEqual(hours(), []);
      restart();
      await settle();
      assert.deepEqual(hours(), []);
      change(({ metadata }) => (metadata.annotations = { [importAnnotation]: "again" }));
      await settle();
      assert.deepEqual(hours().toSorted(), [1, 2]);
      assert.equal(status()?.catalog?.lastHandledImport, "again");
    });
  }

  it("stay away after a restart in any number, once a listing of five minutes later has come", async () => {
    const { api, bucket, settle, restart, records, later, status } = begun();
    for (let at = 0; at < 20; at++)
      for (let hour = 0; hour < 30; hour++)
        addBackup(
          bucket,
          { clusterName: `c${at}`, time: new Date(begin + hour * hourMs).toISOString() },
          new Date(begin),
        );
    await settle();
    assert.equal(status()?.catalog?.importedRecently?.length, 500, "status is bounded");
    later(5 * 60_000);
    await settle();
    assert.deepEqual(status()?.catalog?.importedRecently, undefined);
    for (const { metadata } of api.objects(backups)) api.remove(backups, metadata);
    restart();
    await settle();
    assert.equal(records().length, 0);
  });

  it("appear though a later one was listed first, as long as the clocks of the servers may differ", async () => {
    const { bucket, settle, later, hours } = begun(2);
    await settle();
    const time = new Date(begin + 2 * hourMs - 4 * 60_000);
    addBackup(bucket, { time: time.toISOString(), revision: 1 }, time);
    later(60_000);
    await settle();
    assert.deepEqual(hours().toSorted(), [1, 2]);
  });

  it("that others store later appear with the next listing", async () => {
    const { store, settle, hours } = begun(1);
    await settle();
    store(9);
    await settle();
    assert.deepEqual(hours().toSorted(), [1, 9]);
  });

  it("lose their records when two complete listings in a row do not show them, and never by an error", async () => {
    const { bucket, store, settle, hours } = begun(1);
    const { object, data } = store(2);
    await settle();
    bucket.objects.delete(object);
    bucket.objects.delete(data);
    bucket.beforeCall = (call, name) => {
      if (call === "list" && name === "") throw new OperatorError("StoreFailed", "reset");
    };
    for (let probe = 0; probe < 3; probe++) await settle();
    bucket.beforeCall = () => {};
    await settle();
    assert.deepEqual(hours().toSorted(), [1, 2]);
    await settle();
    assert.deepEqual(hours(), [1]);
  });

  it("appear again for a store that was made again under its name", async () => {
    const { api, settle, hours } = begun(1, 2);
    await settle();
    for (const { metadata } of api.objects(backups)) api.remove(backups, metadata);
    api.remove(stores, ref);
    api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
    await settle();
    assert.deepEqual(hours().toSorted(), [1, 2]);
  });

  it("do not keep the store from its next probe while many are imported", async () => {
    const { bucket, store, pass, later } = begun();
    for (let at = 0; at < 6; at++) for (let hour = 0; hour < 30; hour++) store(hour, `c${at}`);
    const lists = () => bucket.calls.filter((call) => call === "list ").length;
    await pass();
    await pass();
    assert.equal(lists(), 1);
    later(5 * 60_000);
    await pass();
    assert.equal(lists(), 2);
  });

  it("do not lose them by passes that go on with an import by the same listing", async () => {
    const { bucket, store, pass, settle, hours } = begun(1);
    const { object, data } = store(2);
    await settle();
    bucket.objects.delete(object);
    bucket.objects.delete(data);
    for (let at = 0; at < 6; at++) for (let hour = 10; hour < 40; hour++) store(hour, `c${at}`);
    await pass();
    await pass();
    await pass();
    assert.ok(hours().includes(2));
    await settle();
    assert.ok(!hours().includes(2));
  });

  it("get no record when this operator made them and a person deleted the EtcdBackup at once", async () => {
    const { store, settle, catalog, hours } = begun(1);
    await settle();
    catalog().noteStored(store(9).manifest, new Date(begin + 9 * hourMs));
    await settle();
    assert.deepEqual(hours(), [1]);
  });

  it("leave an EtcdBackup alone that has the name of a record, and say so", async () => {
    const { api, store, settle, events, status, hours } = begun();
    const { manifest } = store(1);
    const name = recordName({ clusterName: "prod", name: manifest.name });
    const spec = { clusterName: "c", storeRef: { name: "t" }, etcd: { endpoints: ["http://e:2379"] } };
    api.create(backups, { metadata: { namespace: "ns", name }, spec });
    store(2);
    await settle();
    assert.equal(status()?.catalog?.nameClashes, 1);
    assert.deepEqual(
      hours().filter((hour) => !Number.isNaN(hour)),
      [2],
    );
    const taken = events.filter((text) => text.startsWith("RecordNameTaken"));
    assert.equal(taken.length, 1);
    assert.match(taken[0] ?? "", new RegExp(`EtcdBackup ${name} exists .* left it unchanged`));
    assert.deepEqual(api.object(backups, { namespace: "ns", name })?.spec.storeRef, { name: "t" });
  });

  it("are not imported, and no record is deleted, once the fence is closed", async () => {
    const { bucket, fence, pass, settle, store, records } = begun(1);
    await settle();
    const before = records();
    const { object, data } = store(2);
    for (const name of bucket.objects.keys())
      if (name !== object && name !== data && name.startsWith("prod/")) bucket.objects.delete(name);
    bucket.beforeCall = (call, name) => {
      if (call === "list" && name === "") fence.isOpen = false;
    };
    for (let probe = 0; probe < 3; probe++) {
      fence.isOpen = true;
      await assert.rejects(async () => pass(), { code: "Aborted" });
    }
    assert.deepEqual(records(), before);
  });

  it("are imported later when the API server refuses a record, and the store stays Ready", async () => {
    const { api, pass, settle, status, records } = begun(1);
    api.beforeRequest = ({ verb, resource }) => {
      if (verb === "create" && resource.startsWith("etcdbackups"))
        throw new OperatorError("Unauthorized", "no right to create it");
    };
    assert.deepEqual(await pass(), { againAfterMs: 30_000 });
    assert.equal(status()?.conditions?.find(({ type }) => type === "Ready")?.status, "True");
    api.beforeRequest = () => {};
    await settle();
    assert.equal(records().length, 1);
  });
});
