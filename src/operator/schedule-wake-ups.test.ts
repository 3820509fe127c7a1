import assert from "node:assert/strict";
import { it } from "node:test";
import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../api/v1alpha1/etcd-backup-schedule.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { scheduleLabel, triggerAnnotation } from "../core/schedule/child.ts";
import { KeyedQueue } from "../kube/queue.ts";
import { memoryInformer } from "./informers.fixture.ts";
import { ChildrenBySchedule, followClockJumps, wakeSchedules } from "./schedule-wake-ups.ts";

const { signal } = new AbortController();

function begun() {
  const informers = {
    backups: memoryInformer<EtcdBackup>(),
    schedules: memoryInformer<EtcdBackupSchedule>(),
    stores: memoryInformer<EtcdBackupStore>(),
  };
  const queue = new KeyedQueue();
  const woken: string[] = [];
  void queue.run({
    workers: 100,
    process: async (key) => void woken.push(key),
    onError: (_key, error) => assert.fail(String(error)),
    signal,
  });
  const children = new ChildrenBySchedule();
  wakeSchedules(informers, queue, children, signal);
  return {
    ...informers,
    children,
    async take(): Promise<string[]> {
      await new Promise(setImmediate);
      return woken.splice(0);
    },
  };
}

function schedule(generation: number, annotations: Record<string, string> = {}, status: object = {}) {
  const spec = { template: { spec: { storeRef: { name: "s" } } } };
  return {
    metadata: { name: "prod", namespace: "ns", uid: "u", generation, annotations },
    spec,
    status,
  } as EtcdBackupSchedule;
}

function backup(name: string, finished: boolean, of = "prod") {
  const conditions = finished ? [{ type: "Finished", status: "True" }] : [];
  const metadata = { name, namespace: "ns", uid: name, labels: { [scheduleLabel]: of } };
  return { metadata, status: { conditions } } as unknown as EtcdBackup;
}

function store(accessMode: string, ready = "True", renewTime = "1") {
  const conditions = [{ type: "Ready", status: ready, message: "m" }];
  const status = { conditions, operator: { lease: "l", renewTime } };
  return {
    metadata: { name: "s", namespace: "ns", uid: "s" },
    spec: { accessMode },
    status,
  } as unknown as EtcdBackupStore;
}

it("a schedule is woken by its spec and its trigger, and not by its own status", async () => {
  const { schedules, take } = begun();
  schedules.set("ns/prod", schedule(1));
  assert.deepEqual(await take(), ["ns/prod"]);
  schedules.set("ns/prod", schedule(1, {}, { active: "a" }));
  assert.deepEqual(await take(), []);
  schedules.set("ns/prod", schedule(1, { [triggerAnnotation]: "now" }));
  assert.deepEqual(await take(), ["ns/prod"]);
  schedules.set("ns/prod", schedule(2, { [triggerAnnotation]: "now" }));
  assert.deepEqual(await take(), ["ns/prod"]);
});

it("a schedule is woken when one of its EtcdBackups comes, ends or goes, and not by its progress", async () => {
  const { backups, children, take } = begun();
  backups.set("ns/a", backup("a", false));
  backups.set("ns/b", backup("b", false, "other"));
  assert.deepEqual(await take(), ["ns/prod", "ns/other"]);
  backups.set("ns/a", backup("a", false));
  assert.deepEqual(await take(), []);
  backups.set("ns/a", backup("a", true));
  assert.deepEqual(await take(), ["ns/prod"]);
  assert.deepEqual(
    children.of("ns/prod").map(({ metadata }) => metadata.name),
    ["a"],
  );
  backups.set("ns/a", undefined);
  assert.deepEqual(await take(), ["ns/prod"]);
  assert.deepEqual(children.of("ns/prod"), []);
});

it("a schedule is woken when its store becomes usable or unusable, and not by the renewals of a store", async () => {
  const { schedules, stores, take } = begun();
  schedules.set("ns/prod", schedule(1));
  stores.set("ns/s", store("ReadWrite"));
  await take();
  stores.set("ns/s", store("ReadWrite", "True", "2"));
  assert.deepEqual(await take(), []);
  stores.set("ns/s", store("ReadOnly", "True", "3"));
  assert.deepEqual(await take(), ["ns/prod"]);
  stores.set("ns/s", store("ReadWrite", "False", "4"));
  assert.deepEqual(await take(), ["ns/prod"]);
  stores.set("ns/s", undefined);
  assert.deepEqual(await take(), ["ns/prod"]);
});

it("a wall clock that jumps is noticed once, in either direction", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let ahead = 0;
  let jumps = 0;
  const now = () => new Date(performance.now() + ahead);
  followClockJumps({ now, onJump: () => (jumps += 1) }, signal);
  t.mock.timers.tick(30_000);
  assert.equal(jumps, 0);
  for (const jump of [3_600_000, 0]) {
    ahead = jump;
    t.mock.timers.tick(30_000);
  }
  assert.equal(jumps, 2);
});
