import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import {
  type EtcdBackupSchedule,
  type EtcdBackupScheduleSpec,
  etcdBackupScheduleDefinition,
} from "../../api/v1alpha1/etcd-backup-schedule.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type EtcdRestore, etcdRestoreDefinition } from "../../api/v1alpha1/etcd-restore.ts";
import { runConditions, wholeSeconds } from "../../core/conditions.ts";
import { noLog } from "../../core/log.ts";
import { restoreOf } from "../../core/restore/restore.fixture.ts";
import { scheduleOf } from "../../core/schedule/child.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import type { Series } from "../../core/backup/series.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { Catalogs } from "../store/catalogs.ts";
import { holdsOver } from "../store/holds.fixture.ts";
import { scheduleReconciler } from "./reconcile.ts";

const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const schedules: ResourceKind<EtcdBackupSchedule> = customResource(etcdBackupScheduleDefinition);
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);

const restores: ResourceKind<EtcdRestore> = customResource(etcdRestoreDefinition);

const ref = { namespace: "ns", name: "prod" };
const storeRef = { namespace: "ns", name: "s" };

function restoreDraft(backupRef: string) {
  const { spec } = restoreOf({ spec: { source: { backupRef: { name: backupRef } } } });
  return { metadata: { namespace: "ns", name: "r" }, spec };
}

export type ScheduleWorld = ReturnType<typeof createScheduleWorld>;

/** One EtcdBackupSchedule with its store in an API server in memory, and an operator whose clock the test sets. */
export function createScheduleWorld(
  spec: Partial<EtcdBackupScheduleSpec> = {},
  start = "2026-08-20T11:59:30Z",
) {
  let clock = Date.parse(start);
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  const createStore = () => {
    api.create(stores, { metadata: storeRef, spec: { s3: { bucket: "backups" } } });
    api.change(stores, storeRef, ({ status }) => {
      status.writer = { id: "w1", renewal: 1, nonce: "00000000" };
    });
  };
  createStore();
  api.create(schedules, {
    metadata: ref,
    spec: {
      schedule: "0 * * * *",
      template: {
        spec: { clusterName: "prod", storeRef: { name: "s" }, etcd: { endpoints: ["http://e:2379"] } },
      },
      ...spec,
    },
  });
  const events: string[] = [];
  const watch = { behind: false };
  const bucket = memoryStore();
  bucket.now = now;
  const catalogs = new Catalogs(now);
  const catalog = () => {
    const store = api.object(stores, storeRef);
    return store === undefined ? undefined : catalogs.of(store, async () => bucket);
  };
  const signal = new AbortController().signal;
  const children = () => api.objects(backups).filter((backup) => scheduleOf(backup) === ref.name);
  const startProcess = () => {
    const resources = operatorResources(api.client, { check() {} });
    return scheduleReconciler({
      resources,
      childrenOf: () => (watch.behind ? [] : children()),
      restores: () => api.objects(restores),
      holds: holdsOver(resources, { now, clock: () => clock }),
      catalogs,
      writers: new Map(),
      openStore: async () => bucket,
      kubernetesCluster: async () => "k1",
      events: { record: ({ reason, note }) => void events.push(`${reason}: ${note}`) },
      now,
      log: noLog,
    });
  };
  let reconcile = startProcess();
  const world = {
    api,
    events,
    watch,
    now,
    set(time: string) {
      clock = Date.parse(time);
    },
    advance(seconds: number) {
      clock += seconds * 1000;
    },
    /** Another process goes on, which knows nothing of this one. */
    restart() {
      reconcile = startProcess();
    },
    /** One pass. Resolves to the milliseconds after which the operator would look again. */
    pass: async () => (await reconcile(ref, signal))?.againAfterMs,
    /** Passes until nothing is to be done at this time. Resolves to the milliseconds until the next pass. */
    async settle(): Promise<number | undefined> {
      for (let pass = 0; pass < 20; pass++) {
        const againAfterMs = await world.pass();
        if (againAfterMs === undefined || againAfterMs > 0) return againAfterMs;
      }
      throw new Error("20 passes, and still something to do");
    },
    /** Lives through this time: passes whenever the operator asked for one. */
    async live(seconds: number): Promise<void> {
      const end = clock + seconds * 1000;
      for (;;) {
        const waitMs = (await world.settle()) ?? Number.POSITIVE_INFINITY;
        if (clock + waitMs > end) break;
        clock += waitMs;
      }
      clock = end;
      await world.settle();
    },
    get schedule(): EtcdBackupSchedule {
      const schedule = api.object(schedules, ref);
      if (schedule === undefined) throw new Error("the schedule is gone");
      return schedule;
    },
    get status() {
      return world.schedule.status;
    },
    condition: (type: string) => world.status.conditions?.find((condition) => condition.type === type),
    children,
    names: () =>
      children()
        .map(({ metadata }) => metadata.name)
        .toSorted(),
    change: (mutate: (schedule: EtcdBackupSchedule) => void) => api.change(schedules, ref, mutate),
    changeStore: (mutate: (store: EtcdBackupStore) => void) => api.change(stores, storeRef, mutate),
    removeStore: () => api.remove(stores, storeRef),
    createStore,
    createBackup: (name: string, labels: Record<string, string> = {}) =>
      api.create(backups, {
        metadata: { namespace: "ns", name, labels },
        spec: { clusterName: "prod", storeRef: { name: "s" }, etcd: { endpoints: ["http://e:2379"] } },
      }),
    /** The backup controller records the end of the EtcdBackup that runs. */
    end(outcome: "Succeeded" | "Failed" = "Succeeded", message = "no member answers") {
      const running = children().filter(({ status }) => status.completionTime === undefined);
      for (const { metadata } of running)
        api.change(backups, { namespace: "ns", name: metadata.name }, (backup) => {
          const reason = outcome === "Succeeded" ? "Succeeded" : "NoUsableMember";
          backup.status.completionTime = wholeSeconds(now());
          backup.status.conditions = runConditions(
            [],
            outcome,
            { reason, message },
            { generation: 1, now: now() },
          );
        });
      return running.length;
    },
    /** A person asks to restore the backup of this EtcdBackup. */
    createRestore: (backupRef: string) => api.create(restores, restoreDraft(backupRef)),
    removeRestore: () => api.remove(restores, { namespace: "ns", name: "r" }),
    bucket,
    /** The store controller lists the store. */
    list: async () => void (await catalog()?.refresh(bucket, { signal })),
    /** The running backup succeeds, with a stored backup of this revision in the series of the schedule. */
    store(
      revision: number,
      series: Series = { name: ref.name, namespace: ref.namespace, kubernetesCluster: "k1" },
    ) {
      const [running] = children().filter(({ status }) => status.completionTime === undefined);
      if (running === undefined) throw new Error("no backup runs");
      const made = addBackup(
        bucket,
        { time: wholeSeconds(now()), revision, runId: `run${revision}`, series },
        now(),
      );
      world.end();
      world.changeBackup(running.metadata.name, ({ status }) => {
        const { name, stored } = made.manifest;
        status.artifact = {
          name,
          url: `${bucket.url}/${stored.object}`,
          manifestURL: `${bucket.url}/${made.object}`,
          storedBytes: stored.bytes,
          compression: stored.compression,
          crc32c: stored.crc32c,
          proof: stored.proof,
        };
      });
      return made.manifest.name;
    },
    changeBackup: (name: string, mutate: (backup: EtcdBackup) => void) =>
      api.change(backups, { namespace: "ns", name }, mutate),
    removeBackup: (name: string) => api.remove(backups, { namespace: "ns", name }),
  };
  return world;
}
