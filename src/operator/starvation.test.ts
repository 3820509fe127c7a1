import assert from "node:assert/strict";
import { Catalogs } from "../controllers/store/catalogs.ts";
import { holdsOver } from "../controllers/store/holds.fixture.ts";
import { KeyedMutex } from "../controllers/keyed-mutex.ts";
import { type TestContext, test } from "node:test";
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
import { factsOf } from "../store/kinds.ts";
import { memoryStore } from "../store/memory/memory-store.fixture.ts";
import { operatorResources } from "./resources.ts";
import { fairQueue, passLimits } from "./term.ts";

const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);

/** Turns of the event loop until the condition is true, and at most `limit`. */
async function turnsUntil(isTrue: () => boolean, limit = 20_000): Promise<void> {
  for (let turn = 0; turn < limit && !isTrue(); turn++) await new Promise(setImmediate);
}

for (const tenants of [1, 3, 12])
  test(`20 deletions from a silent store in each of ${tenants} namespaces do not keep an EtcdBackup of another from a worker`, async (t) => {
    await assertStarted(
      t,
      Array.from({ length: tenants }, (_, index) => `silent-${index}`),
    );
  });

/** Deletions wait in the namespaces `tenants`. An EtcdBackup of the namespace `other` starts nevertheless. */
async function assertStarted(t: TestContext, tenants: readonly string[]): Promise<void> {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const api = memoryApi();
  const silent = memoryStore();
  silent.beforeCall = () => new Promise<void>(() => {});
  const queue = fairQueue();
  const draft = (namespace: string, name: string) => ({
    metadata: { namespace, name },
    spec: { clusterName: "c", storeRef: { name: "s" }, etcd: { endpoints: ["http://e:2379"] } },
  });
  for (const namespace of [...tenants, "other"]) {
    const ref = { namespace, name: "s" };
    api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
    api.change(stores, ref, ({ status }) => {
      status.writer = { id: namespace, renewal: 1, nonce: "00000000" };
    });
  }
  for (const name of tenants.flatMap((namespace) =>
    Array.from({ length: 20 }, (_, index) => ({ namespace, name: `deleted-${index}` })),
  )) {
    const { metadata, spec } = draft(name.namespace, name.name);
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
    factsOf,
    resources,
    holds: holdsOver(resources),
    admission,
    runs: new InProcessRunner<AttemptWork, BackupReport, StoredBackup>({
      slots: admission,
      wake,
      firstReport: () => ({}),
      perform: () => new Promise(() => {}),
    }),
    openStore: async ({ metadata }) => (metadata.namespace === "other" ? memoryStore() : silent),
    events: { record() {} },
    metrics: { backupEnded() {}, storedBackupLeft() {} },
    guards: new KeyedMutex(),
    writers: new Map(),
    catalogs: new Catalogs(() => new Date()),
    now: () => new Date(),
    log: noLog,
  });
  const stop = new AbortController();
  const process = reconciler({ kind: "EtcdBackup", queue, reconcile, log: noLog, observe() {} });
  void queue.run({ ...passLimits, process, onError: () => {}, signal: stop.signal });
  const silentCalls = () => silent.calls.length;
  const occupied = Math.min(passLimits.workers, passLimits.workersPerGroup * tenants.length);
  await turnsUntil(() => silentCalls() >= occupied);
  // Any other deletion that a worker takes up reaches the store as well.
  await turnsUntil(() => false, 1_000);
  assert.equal(silentCalls(), occupied);
  const fresh = draft("other", "fresh");
  api.create(backups, fresh);
  queue.add(keyOf(fresh.metadata));
  const isSeen = () => (api.object(backups, fresh.metadata)?.status.attempts ?? 0) > 0;
  for (let turn = 0; turn < tenants.length && !isSeen(); turn++) {
    await turnsUntil(isSeen, 1_000);
    t.mock.timers.tick(passLimits.slowMs);
  }
  await turnsUntil(isSeen);
  stop.abort();
  assert.ok(isSeen(), "the EtcdBackup of the namespace other was not started");
  assert.ok(silentCalls() <= passLimits.workersPerGroup * tenants.length);
}
