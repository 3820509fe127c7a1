import assert from "node:assert/strict";
import { holdsOver } from "../controllers/store/holds.fixture.ts";
import { KeyedMutex } from "../controllers/keyed-mutex.ts";
import { test } from "node:test";
import { type EtcdBackup, etcdBackupDefinition } from "../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../api/v1alpha1/etcd-backup-store.ts";
import type { AttemptWork } from "../controllers/backup/attempt.ts";
import { backupReconciler } from "../controllers/backup/reconcile.ts";
import { keyOf, reconciler } from "../controllers/reconciler.ts";
import { Admission } from "../controllers/admission.ts";
import { InProcessRunner } from "../controllers/in-process-runner.ts";
import { finalizer } from "../core/backup/decide.ts";
import type { BackupReport, StoredBackup } from "../core/backup/observed.ts";
import { initialized } from "../core/backup/status.ts";
import { noLog } from "../core/log.ts";
import { memoryApi } from "../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../kube/objects.ts";
import { memoryStore } from "../store/memory/memory-store.fixture.ts";
import { operatorResources } from "./resources.ts";
import { fairQueue, passLimits } from "./term.ts";

const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);

/** Turns of the event loop until the condition is true, and at most `limit`. */
async function turnsUntil(isTrue: () => boolean, limit = 20_000): Promise<void> {
  for (let turn = 0; turn < limit && !isTrue(); turn++) await new Promise(setImmediate);
}

test("20 deletions from a silent store do not delay an EtcdBackup of another namespace", async () => {
  const api = memoryApi();
  const silent = memoryStore();
  silent.beforeCall = () => new Promise<void>(() => {});
  const queue = fairQueue();
  const draft = (namespace: string, name: string) => ({
    metadata: { namespace, name },
    spec: { clusterName: "c", storeRef: { name: "s" }, etcd: { endpoints: ["http://e:2379"] } },
  });
  for (const namespace of ["a", "b"]) {
    const ref = { namespace, name: "s" };
    api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
    api.change(stores, ref, ({ status }) => {
      status.writer = { id: namespace, renewal: 1, nonce: "00000000" };
    });
  }
  for (let i = 0; i < 20; i++) {
    const { metadata, spec } = draft("a", `deleted-${i}`);
    const backup = api.create(backups, {
      metadata: { ...metadata, finalizers: [finalizer] },
      spec: { ...spec, deletionPolicy: "Delete" },
    });
    api.change(backups, metadata, (object) => {
      object.status = { ...initialized(backup, new Date()), attempts: 1 };
    });
    api.remove(backups, metadata);
    queue.add(keyOf(metadata));
  }
  const resources = operatorResources(api.client, { check() {} });
  const wake = (key: string) => queue.add(key);
  const admission = new Admission({ limit: 2, wake });
  const reconcile = backupReconciler({
    resources,
    holds: holdsOver(resources),
    admission,
    runs: new InProcessRunner<AttemptWork, BackupReport, StoredBackup>({
      slots: admission,
      wake,
      firstReport: () => ({}),
      perform: () => new Promise(() => {}),
    }),
    openStore: async ({ metadata }) => (metadata.namespace === "a" ? silent : memoryStore()),
    events: { record() {} },
    metrics: { backupEnded() {}, storedBackupLeft() {} },
    guards: new KeyedMutex(),
    writers: new Map(),
    now: () => new Date(),
    log: noLog,
  });
  const stop = new AbortController();
  const process = reconciler({ kind: "EtcdBackup", queue, reconcile, log: noLog, observe() {} });
  void queue.run({ ...passLimits, process, onError: () => {}, signal: stop.signal });
  await turnsUntil(() => silent.calls.length >= passLimits.workersPerGroup);
  // Any other deletion that a worker takes up reaches the store as well.
  await turnsUntil(() => false, 1_000);
  const fresh = draft("b", "fresh");
  api.create(backups, fresh);
  queue.add(keyOf(fresh.metadata));
  const isSeen = () => (api.object(backups, fresh.metadata)?.status.attempts ?? 0) > 0;
  await turnsUntil(isSeen);
  stop.abort();
  assert.ok(isSeen(), "the EtcdBackup of namespace b was not started");
  assert.equal(silent.calls.length, passLimits.workersPerGroup);
});
