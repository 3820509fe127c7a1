import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../api/v1alpha1/etcd-restore.ts";
import { backupOf, now } from "../core/backup/backup.fixture.ts";
import { finalizer } from "../core/backup/decide.ts";
import { failed, initialized } from "../core/backup/status.ts";
import { KeyedQueue } from "../kube/queue.ts";
import { memoryInformer } from "./informers.fixture.ts";
import { backupsThatNeedStores, wakeControllers } from "./wake-ups.ts";

const { signal } = new AbortController();

function pending(name: string, storeName = "s"): EtcdBackup {
  const backup = backupOf({ metadata: { name }, spec: { storeRef: { name: storeName } } });
  return { ...backup, status: initialized(backup, now) };
}

function finished(name: string): EtcdBackup {
  const backup = pending(name);
  return { ...backup, status: failed(backup, { do: "fail", reason: "TimedOut", message: "m" }, now) };
}

/** Queues whose keys nothing works on; `woken` empties them. */
function woken(hasRun: (key: string) => boolean = () => false) {
  const informers = {
    backups: memoryInformer<EtcdBackup>(),
    stores: memoryInformer<EtcdBackupStore>(),
    restores: memoryInformer<EtcdRestore>(),
  };
  const timers: { ms: number; run: () => void }[] = [];
  const clock = {
    now: () => 0,
    setTimer: (run: () => void, ms: number) => void timers.push({ run, ms }),
    clearTimer() {},
  };
  const queues = {
    backups: new KeyedQueue({ clock }),
    stores: new KeyedQueue({ clock }),
    restores: new KeyedQueue({ clock }),
  };
  const begun: string[] = [];
  for (const [kind, queue] of Object.entries(queues))
    void queue.run({
      workers: 100_000,
      process: async (key) => void begun.push(`${kind} ${key}`),
      onError: (_key, error) => assert.fail(String(error)),
      signal,
    });
  wakeControllers(informers, queues, { hasRun, guarding: backupsThatNeedStores() }, signal);
  const set = (backup: EtcdBackup) => informers.backups.set(`ns/${backup.metadata.name}`, backup);
  return {
    informers,
    set,
    timers,
    async take(): Promise<string[]> {
      await new Promise(setImmediate);
      return begun.splice(0);
    },
  };
}

describe("a change wakes", () => {
  it("no controller when 10,000 finished EtcdBackups are listed again", async () => {
    const { informers, set, take } = woken();
    for (let i = 0; i < 10_000; i++) set(finished(`b-${i}`));
    informers.backups.relist();
    assert.deepEqual(await take(), []);
  });

  it("a store soon after the first EtcdBackup that needs it, and at once after the last", async () => {
    const { informers, set, timers, take } = woken();
    const guarding = (name: string) => ({
      ...pending(name),
      metadata: { ...pending(name).metadata, finalizers: [finalizer] },
    });
    set(guarding("b1"));
    set(guarding("b2"));
    assert.deepEqual(await take(), ["backups ns/b1", "backups ns/b2"]);
    assert.equal(timers.length, 1);
    timers.pop()?.run();
    assert.deepEqual(await take(), ["stores ns/s"]);
    informers.backups.set("ns/b1", undefined);
    assert.deepEqual([await take(), timers.length], [["backups ns/b1"], 1]);
    timers.pop()?.run();
    assert.deepEqual(await take(), ["stores ns/s"]);
    informers.backups.set("ns/b2", undefined);
    assert.deepEqual(await take(), ["stores ns/s", "backups ns/b2"]);
  });

  it("the unfinished EtcdBackups and the EtcdRestores of a store that gets another holder, and not at a renewal", async () => {
    const { informers, set, take } = woken();
    set(pending("b"));
    set(finished("done"));
    const heldBy = (lease: string, renewTime: string) =>
      informers.stores.set("ns/s", {
        metadata: { namespace: "ns", name: "s", uid: "u", generation: 1 },
        status: { observedGeneration: 1, operator: { lease, renewTime, durationSeconds: 900 } },
      } as EtcdBackupStore);
    heldBy("a/operator", "2026-08-20T12:00:00Z");
    informers.restores.set("ns/r", { metadata: { namespace: "ns", name: "r" } } as EtcdRestore);
    informers.restores.set("other/r", { metadata: { namespace: "other", name: "r" } } as EtcdRestore);
    await take();
    heldBy("a/operator", "2026-08-20T12:05:00Z");
    assert.deepEqual(await take(), []);
    heldBy("b/operator", "2026-08-20T12:25:00Z");
    assert.deepEqual((await take()).toSorted(), ["backups ns/b", "restores ns/r", "stores ns/s"]);
  });

  it("a finished EtcdBackup whose generation, finalizer or deletion needs a pass", async () => {
    const { set, take } = woken();
    const done = finished("b");
    set({ ...done, metadata: { ...done.metadata, generation: 2 } });
    assert.deepEqual(await take(), ["backups ns/b"]);
    set({ ...done, metadata: { ...done.metadata, finalizers: [finalizer] } });
    assert.deepEqual(await take(), ["backups ns/b"]);
    const deletionTimestamp = now.toISOString();
    set({ ...done, metadata: { ...done.metadata, finalizers: [finalizer], deletionTimestamp } });
    assert.deepEqual(await take(), ["backups ns/b"]);
  });

  it("a finished EtcdBackup whose run this process still holds, and one that is gone", async () => {
    const { informers, set, take } = woken((key) => key === "ns/b");
    set(finished("b"));
    assert.deepEqual(await take(), ["backups ns/b"]);
    informers.backups.set("ns/b", undefined);
    assert.deepEqual(await take(), ["backups ns/b"]);
  });

  it("no other EtcdBackup when one of 1,000 ends, and its store once after a while", async () => {
    const { set, take, timers } = woken();
    for (let i = 0; i < 1_000; i++) set(pending(`b-${i}`));
    await take();
    for (let i = 0; i < 10; i++) set(finished(`b-${i}`));
    assert.deepEqual(await take(), []);
    assert.equal(timers.length, 1);
    timers[0]?.run();
    assert.deepEqual(await take(), ["stores ns/s"]);
  });

  it("no store when an EtcdBackup has recorded a backup that the store held before", async () => {
    const { set, take, timers } = woken();
    const spec = { ...pending("b").spec, imported: { backup: "b" } };
    set({ ...pending("b"), spec });
    await take();
    set({ ...finished("b"), spec });
    await take();
    assert.equal(timers.length, 0);
  });

  it("of a store only the EtcdBackups that need this store", async () => {
    const { informers, set, take } = woken();
    set(pending("waits"));
    set(pending("elsewhere", "other"));
    set(finished("done"));
    set(pending("ends"));
    set(finished("ends"));
    await take();
    const metadata = { name: "s", namespace: "ns", uid: "u", resourceVersion: "1", creationTimestamp: "" };
    const store = (generation: number) =>
      ({ metadata: { ...metadata, generation }, spec: {}, status: {} }) as unknown as EtcdBackupStore;
    informers.stores.set("ns/s", store(1));
    assert.deepEqual(await take(), ["stores ns/s", "backups ns/waits"]);
    informers.stores.set("ns/s", store(1));
    assert.deepEqual(await take(), []);
    const asked = store(1);
    asked.metadata.annotations = { "etcdbackup.dev/import": "again" };
    informers.stores.set("ns/s", asked);
    assert.ok((await take()).includes("stores ns/s"), "a person asked for an import");
  });
});
