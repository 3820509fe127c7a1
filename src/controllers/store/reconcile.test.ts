import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { putClaim } from "../../backup/catalog/claim.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { finalizer } from "../../core/backup/decide.ts";
import { OperatorError } from "../../core/errors.ts";
import { noLog } from "../../core/log.ts";
import { KnownBackups } from "../../core/store/known-backups.ts";
import { needsStore, storeFinalizer } from "../../core/store/guard.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import { factsOf } from "../../store/kinds.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { KeyedMutex } from "../keyed-mutex.ts";
import { Catalogs } from "./catalogs.ts";
import { holdsOver } from "./holds.fixture.ts";
import { storeReconciler } from "./reconcile.ts";

const { signal } = new AbortController();
const ref = { namespace: "ns", name: "s" };
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const minuteMs = 60_000;

/** One EtcdBackupStore in an API server and a bucket, both in memory. */
function begun(location: object = { s3: { bucket: "backups" } }) {
  let clock = Date.parse("2026-08-20T12:00:00Z");
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  api.create(stores, { metadata: ref, spec: { ...location, catalog: { import: false } } });
  const bucket = memoryStore();
  const events: string[] = [];
  const guards = new KeyedMutex();
  const resources = operatorResources(api.client, { check() {} });
  const holds = holdsOver(resources, { now, clock: () => clock });
  const watch = { behind: false };
  const startProcess = () =>
    storeReconciler({
      resources,
      backupsNeeding: () => (watch.behind ? 0 : api.objects(backups).filter(needsStore).length),
      guards,
      writers: new Map(),
      catalogs: new Catalogs(now),
      reports: { find: () => undefined },
      known: new KnownBackups(),
      holds,
      openStore: async () => bucket,
      factsOf,
      events: { record: ({ reason, note }) => void events.push(`${reason}: ${note}`) },
      now,
      log: noLog,
    });
  let reconcile = startProcess();
  return {
    api,
    bucket,
    events,
    /** Another process goes on, which knows nothing of this one. */
    restart() {
      reconcile = startProcess();
    },
    /** The reasons of the events, without that of the first probe. */
    get reasons() {
      return events
        .map((text) => text.slice(0, text.indexOf(":")))
        .filter((reason) => reason !== "Reachable");
    },
    guards,
    watch,
    finalizers: () => api.object(stores, ref)?.metadata.finalizers ?? [],
    addBackup: (name: string) =>
      api.create(backups, {
        metadata: { namespace: ref.namespace, name, finalizers: [finalizer] },
        spec: { clusterName: "c", storeRef: { name: ref.name }, etcd: { endpoints: ["http://e:2379"] } },
      }),
    removeBackup(name: string) {
      const at = { namespace: ref.namespace, name };
      api.change(backups, at, ({ metadata }) => {
        metadata.finalizers = [];
      });
      api.remove(backups, at);
    },
    /** One pass. Resolves to the kinds of calls to the bucket, without those that renew the writer. */
    async pass(): Promise<string[]> {
      bucket.calls.length = 0;
      await reconcile(ref, signal);
      return bucket.calls
        .filter((call) => !call.includes(" .writers/"))
        .map((call) => call.slice(0, call.indexOf(" ")));
    },
    later: (ms: number) => void (clock += ms),
    status: () => api.object(stores, ref)?.status,
  };
}

describe("a probe of a store", () => {
  it("lists the store once, reads a manifest only once, counts the backups, and sweeps at the first one and then every hour", async () => {
    const { bucket, pass, later, status } = begun();
    for (let n = 1; n <= 3; n++) addBackup(bucket, { time: `2026-08-0${n}T12:00:00Z`, runId: `run${n}` });
    const orphan = addBackup(bucket, { time: "2026-08-04T12:00:00Z", runId: "orphan" });
    bucket.objects.delete(orphan.object);
    assert.deepEqual(await pass(), ["probe", "list", "sweep", "remove", "get"]);
    assert.ok(!bucket.objects.has(orphan.data));
    assert.equal(status()?.backups, 3);
    for (let minute = 5; minute < 60; minute += 5) {
      later(5 * minuteMs);
      assert.deepEqual(await pass(), ["probe", "list"]);
    }
    later(5 * minuteMs);
    assert.deepEqual(await pass(), ["probe", "list", "sweep"]);
  });

  it("says of which kind the location is that does not exist", async () => {
    for (const [location, reason] of [
      [{ s3: { bucket: "backups" } }, "BucketNotFound"],
      [{ file: { path: "/backups" } }, "PathNotFound"],
    ] as const) {
      const { bucket, pass, status } = begun(location);
      bucket.beforeCall = () => {
        throw new OperatorError("NotFound", "it does not exist");
      };
      await pass();
      assert.equal(status()?.conditions?.find(({ type }) => type === "Ready")?.reason, reason);
    }
  });

  it("sweeps at once where the spec has changed, and after a clock was set back", async () => {
    const { api, pass, later } = begun();
    await pass();
    assert.deepEqual(await pass(), ["probe", "list"]);
    api.change(stores, ref, (store) => {
      store.spec.s3 = { bucket: "others", forcePathStyle: false, checksum: "Auto", versions: "Keep" };
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
    bucket.beforeCall = (call, name) => {
      if (call === "list" && name === "") throw new Error("reset");
    };
    assert.deepEqual(await pass(), ["probe", "list"]);
    bucket.beforeCall = () => {};
    assert.deepEqual(await pass(), ["probe", "list", "sweep"]);
  });
});

describe("the writer of a store", () => {
  const heartbeats = ({ bucket }: ReturnType<typeof begun>) =>
    [...bucket.objects.keys()].filter((name) => name.startsWith(".writers/"));
  const conditionOf = ({ status }: ReturnType<typeof begun>) =>
    status()?.conditions?.find(({ type }) => type === "Writer");

  it("is renewed at every probe, in the resource first, and leaves one object", async () => {
    const world = begun();
    await world.pass();
    const first = world.status()?.writer;
    const announced: unknown[] = [];
    world.bucket.beforePut = (name) => {
      if (name.startsWith(".writers/")) announced.push(world.status()?.writer?.renewal);
    };
    await world.pass();
    const writer = world.status()?.writer;
    assert.deepEqual([writer?.id, writer?.renewal], [first?.id, (first?.renewal ?? 0) + 1]);
    assert.deepEqual(announced, [writer?.renewal]);
    assert.deepEqual(heartbeats(world), [
      `.writers/${writer?.id}/${String(writer?.renewal).padStart(20, "0")}-${writer?.nonce}`,
    ]);
    assert.deepEqual([conditionOf(world)?.status, conditionOf(world)?.reason], ["True", "SoleWriter"]);
  });

  it("is given before the first answer of the store, so that backups may begin", async () => {
    const world = begun();
    world.bucket.beforeCall = () => {
      throw new Error("reset");
    };
    await world.pass();
    assert.equal(world.status()?.writer?.renewal, 1);
    assert.equal(conditionOf(world), undefined);
  });

  it("becomes another one in a copy of the Kubernetes cluster, which says so until the original is silent", async () => {
    const world = begun();
    await world.pass();
    const original = world.status()?.writer;
    assert.ok(original);
    // The original has renewed since the copy was made.
    const renewal = String(original.renewal + 3).padStart(20, "0");
    const beat = `.writers/${original.id}/${renewal}-0000000a`;
    world.bucket.objects.set(beat, Buffer.from('{"formatVersion":1,"who":"x","holdSeconds":1800}'));
    world.bucket.now = () => new Date(60_000 * 29);
    world.bucket.modified.set(beat, new Date(0));
    await world.pass();
    const own = world.status()?.writer;
    assert.notEqual(own?.id, original.id);
    assert.equal(own?.copyOf, original.id);
    const copy = conditionOf(world);
    assert.deepEqual([copy?.status, copy?.reason], ["False", "CopyOfLivingWriter"]);
    assert.match(copy?.message ?? "", new RegExp(`${original.id}, which is alive: as writer ${own?.id}`));
    assert.deepEqual(world.reasons, ["CopyOfLivingWriter"]);
    assert.ok(world.bucket.objects.has(beat), "the original's sign of life stays");
    world.bucket.now = () => new Date(60_000 * 31);
    await world.pass();
    assert.deepEqual(
      [conditionOf(world)?.status, conditionOf(world)?.reason],
      ["True", "CopyOfSilentWriter"],
    );
    assert.equal(world.status()?.writer?.id, own?.id);
  });

  it("stays that of the process that began earlier, when a copy has renewed it first", async () => {
    const world = begun();
    world.bucket.now = () => new Date(0);
    await world.pass();
    const before = world.status()?.writer;
    assert.ok(before);
    const beat = `.writers/${before.id}/${String(before.renewal + 1).padStart(20, "0")}-0000000a`;
    world.bucket.objects.set(beat, Buffer.from('{"formatVersion":1,"who":"x","holdSeconds":1800}'));
    world.bucket.modified.set(beat, new Date(60_000));
    world.bucket.now = () => new Date(120_000);
    await world.pass();
    const after = world.status()?.writer;
    assert.deepEqual([after?.id, after?.renewal, after?.copyOf], [before.id, before.renewal + 2, undefined]);
    assert.equal(conditionOf(world)?.reason, "SoleWriter");
    const [object = ""] = heartbeats(world);
    const { since } = JSON.parse(String(world.bucket.objects.get(object))) as { since?: string };
    assert.equal(since, new Date(0).toISOString(), "the other one sees who began earlier");
  });

  it("sweeps in its own folders and in those of nobody, and in no other writer's", async () => {
    const world = begun();
    const orphans = ["ours", "free", "unclaimed", "theirs", "unreadable"].map((clusterName) => {
      const { object, data } = addBackup(world.bucket, { clusterName });
      world.bucket.objects.delete(object);
      return data;
    });
    await world.pass();
    for (const data of orphans) world.bucket.objects.set(data, Buffer.from("data"));
    const claim = { number: 1, lineage: [{ id: "a", number: 1 }], since: "s", reason: "r" };
    const put = (clusterName: string, writer?: string) =>
      putClaim(
        world.bucket,
        clusterName,
        { ...claim, ...(writer && { writer: { id: writer, who: "" } }) },
        signal,
      );
    await put("ours", world.status()?.writer?.id);
    await put("free");
    await put("theirs", "another");
    world.bucket.objects.set("unreadable/claim/00000000000000000001.json", Buffer.from("?"));
    world.later(60 * minuteMs);
    await world.pass();
    assert.deepEqual(
      orphans.filter((data) => world.bucket.objects.has(data)),
      orphans.slice(3),
    );
  });

  it("goes on where the API server was restored to an older state while this process lived", async () => {
    const world = begun();
    for (let probe = 0; probe < 3; probe++) await world.pass();
    const before = world.status()?.writer;
    assert.ok(before);
    world.api.change(stores, ref, ({ status }) => {
      status.writer = { ...before, renewal: 1, nonce: "0000000a" };
    });
    await world.pass();
    const after = world.status()?.writer;
    assert.deepEqual([after?.id, after?.renewal, after?.copyOf], [before.id, before.renewal + 1, undefined]);
  });

  it("is that of the store before which was deleted and made again under its name", async () => {
    const { api, pass, status } = begun();
    await pass();
    const before = status()?.writer;
    api.remove(stores, ref);
    await pass();
    api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
    await pass();
    const after = status()?.writer;
    assert.deepEqual([after?.id, after?.copyOf], [before?.id, undefined]);
    assert.ok((after?.renewal ?? 0) > (before?.renewal ?? 0));
  });

  it("is renewed in a bucket that locks its objects, where the old signs of life are only hidden", async () => {
    const world = begun();
    const { remove } = world.bucket;
    world.bucket.remove = async (name, options) => {
      if (options.hideLocked !== true) throw new OperatorError("Refused", `${name} is under object lock`);
      return remove.call(world.bucket, name, options);
    };
    for (let probe = 0; probe < 3; probe++) await world.pass();
    const ready = world.status()?.conditions?.find(({ type }) => type === "Ready");
    assert.equal(ready?.status, "True", ready?.message);
    assert.equal(heartbeats(world).length, 1);
  });

  it("keeps its name when the store fails right after the renewal, also for an operator that starts then", async () => {
    const world = begun();
    await world.pass();
    const before = world.status()?.writer;
    assert.ok(before);
    world.bucket.beforeCall = (call, name) => {
      if (call === "list" && name === "") throw new Error("reset");
    };
    await world.pass();
    world.bucket.beforeCall = () => {};
    const put = world.bucket.put.bind(world.bucket);
    world.bucket.put = async (name, ...rest) => {
      const stored = await put(name, ...rest);
      if (name.startsWith(".writers/")) throw new Error("reset after it was stored");
      return stored;
    };
    await world.pass();
    world.bucket.put = put;
    const [newest = ""] = heartbeats(world).toSorted().toReversed();
    assert.match(
      newest,
      new RegExp(`${world.status()?.writer?.nonce}$`),
      "the resource names what the store holds",
    );
    world.restart();
    await world.pass();
    assert.deepEqual([world.status()?.writer?.id, world.status()?.writer?.copyOf], [before.id, undefined]);
  });

  it("is not written to a ReadOnly store", async () => {
    const world = begun();
    world.api.change(stores, ref, (store) => {
      store.spec.accessMode = "ReadOnly";
    });
    await world.pass();
    assert.deepEqual([world.status()?.writer, world.bucket.puts], [undefined, []]);
  });
});

describe("a store that EtcdBackups need for their deletion", () => {
  it("has the finalizer from the first pass that sees one until the pass after the last has gone", async () => {
    const { pass, addBackup, removeBackup, finalizers } = begun();
    await pass();
    assert.deepEqual(finalizers(), []);
    addBackup("one");
    addBackup("two");
    await pass();
    assert.deepEqual(finalizers(), [storeFinalizer]);
    removeBackup("one");
    await pass();
    assert.deepEqual(finalizers(), [storeFinalizer]);
    removeBackup("two");
    await pass();
    assert.deepEqual(finalizers(), []);
  });

  it("outlives its own deletion until the last has gone, and says how many it waits for", async () => {
    const { api, pass, addBackup, removeBackup, events, status } = begun();
    for (const name of ["one", "two"]) addBackup(name);
    await pass();
    api.remove(stores, ref);
    events.length = 0;
    assert.deepEqual(await pass(), [], "a store that is being deleted is not probed");
    await pass();
    assert.match(
      events.join("\n"),
      /^NeededByBackups: 2 EtcdBackups with deletionPolicy Delete need [^\n]*$/,
    );
    removeBackup("one");
    await pass();
    const stalled = status()?.conditions?.find(({ type }) => type === "Stalled");
    assert.match(stalled?.message ?? "", /^1 EtcdBackup /);
    removeBackup("two");
    await pass();
    assert.equal(api.object(stores, ref), undefined);
  });

  it("is not released while the watch is behind and has not seen an EtcdBackup", async () => {
    const { pass, addBackup, finalizers, watch } = begun();
    addBackup("new");
    await pass();
    watch.behind = true;
    await pass();
    assert.deepEqual(finalizers(), [storeFinalizer]);
  });

  it("is not released while an EtcdBackup gets its finalizer", async () => {
    const { pass, addBackup, removeBackup, finalizers, guards } = begun();
    addBackup("last");
    await pass();
    removeBackup("last");
    const unlock = await guards.acquire("ns/s", signal);
    const passing = pass();
    await new Promise(setImmediate);
    assert.deepEqual(finalizers(), [storeFinalizer]);
    addBackup("next");
    unlock();
    await passing;
    assert.deepEqual(finalizers(), [storeFinalizer]);
  });
});

describe("the hold of a store", () => {
  it("of another operator keeps this one from probing, sweeping and writing", async () => {
    const { api, pass, status } = begun();
    api.change(stores, ref, (store) => {
      store.status.operator = { lease: "other/x", renewTime: "2026-08-20T12:00:00Z", durationSeconds: 900 };
    });
    const before = status();
    assert.deepEqual(await pass(), []);
    assert.deepEqual(status(), before);
  });

  it("is not overwritten by a probe that outlived the hold", async () => {
    const { api, bucket, pass, later, status } = begun();
    await pass();
    bucket.beforeCall = (call) => {
      if (call !== "list") return;
      later(20 * minuteMs);
      api.change(stores, ref, (store) => {
        store.status.operator = { lease: "other/x", renewTime: "2026-08-20T12:20:00Z", durationSeconds: 900 };
      });
    };
    await pass();
    assert.equal(status()?.operator?.lease, "other/x");
  });

  it("is renewed at every probe", async () => {
    const { pass, later, status } = begun();
    await pass();
    later(5 * minuteMs);
    await pass();
    assert.deepEqual(status()?.operator, {
      lease: "ns/operator",
      renewTime: "2026-08-20T12:05:00Z",
      durationSeconds: 900,
    });
  });
});
