import assert from "node:assert/strict";
import { test } from "node:test";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { BackupReport, StoredBackup } from "../../core/backup/observed.ts";
import { turnStateOf } from "../../core/backup/turn.ts";
import { memberFacts } from "../../core/etcd/member.fixture.ts";
import { noLog } from "../../core/log.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import { factsOf } from "../../store/kinds.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { KeyedMutex } from "../keyed-mutex.ts";
import { requestOf } from "../reconciler.ts";
import { Admission } from "../admission.ts";
import { InProcessRunner } from "../in-process-runner.ts";
import { Catalogs } from "../store/catalogs.ts";
import { holdsOver } from "../store/holds.fixture.ts";
import type { AttemptWork } from "./attempt.ts";
import { backupReconciler } from "./reconcile.ts";

const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);

/** EtcdBackups of one etcd, and four slots. Attempts run on until the test ends. */
function begun() {
  const api = memoryApi();
  const reports = new Map<string, (change: Partial<BackupReport>) => void>();
  const woken: string[] = [];
  const admission = new Admission({ limit: 4, wake: (key) => void woken.push(key) });
  const runs = new InProcessRunner<AttemptWork, BackupReport, StoredBackup>({
    slots: admission,
    wake() {},
    turnStateOf,
    firstReport: () => ({}),
    perform: ({ backup: { metadata } }, report) => {
      reports.set(`${metadata.namespace}/${metadata.name}`, report);
      return new Promise<StoredBackup>(() => {});
    },
  });
  const resources = operatorResources(api.client, { check() {} });
  const reconcile = backupReconciler({
    factsOf,
    resources,
    holds: holdsOver(resources),
    guards: new KeyedMutex(),
    writers: new Map(),
    catalogs: new Catalogs(() => new Date()),
    admission,
    runs,
    openStore: async () => memoryStore(),
    events: { record() {} },
    metrics: { backupEnded() {}, storedBackupLeft() {} },
    now: () => new Date(),
    log: noLog,
  });
  for (const namespace of ["a", "b"]) {
    const ref = { namespace, name: "s" };
    api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
    api.change(stores, ref, ({ status }) => {
      status.writer = { id: namespace, renewal: 1, nonce: "00000000" };
    });
  }
  const look = (key: string) => reconcile(requestOf(key), new AbortController().signal);
  /** Creates the EtcdBackup and makes the passes that begin it. Resolves to the message of its condition. */
  async function create(key: string): Promise<string | undefined> {
    const metadata = requestOf(key);
    const etcd = { endpoints: ["http://e:2379"] };
    api.create(backups, { metadata, spec: { clusterName: "c", storeRef: { name: "s" }, etcd } });
    for (let n = 0; n < 3; n++) await look(key);
    const { conditions } = api.object(backups, metadata)?.status ?? {};
    return conditions?.find(({ type }) => type === "Succeeded")?.message;
  }
  const choose = (key: string) =>
    reports.get(key)?.({
      choice: { chosen: memberFacts("m"), reason: "it was named", withoutQuorum: false, refusals: [] },
    });
  const remove = (key: string) => api.remove(backups, requestOf(key));
  /** The operator of another Lease takes the store of the namespace. */
  const holdElsewhere = (namespace: string) =>
    api.change(stores, { namespace, name: "s" }, ({ status }) => {
      status.operator = { lease: "other/o", renewTime: "2026-08-20T12:00:00Z", durationSeconds: 900 };
    });
  return { create, choose, admission, look, woken, remove, holdElsewhere };
}

test("an EtcdBackup that waits for another of the same etcd holds no slot, and its condition names that one", async () => {
  const { create, admission } = begun();
  await create("a/first");
  assert.match((await create("a/second")) ?? "", /^the operator waits for EtcdBackup first of the same etcd/);
  assert.equal(admission.active, 1);
});

test("an EtcdBackup of another namespace is not named", async () => {
  const { create, choose, admission } = begun();
  await create("a/first");
  choose("a/first");
  assert.match((await create("b/other")) ?? "", /^the operator waits for another backup of the same etcd/);
  assert.equal(admission.active, 1);
});

test("an EtcdBackup in the line gives up its place when it is deleted, or another operator takes its store", async () => {
  for (const end of ["remains", "isDeleted", "isTaken"] as const) {
    const { create, admission, look, woken, remove, holdElsewhere } = begun();
    await create("a/first");
    await create("a/second");
    if (end === "isDeleted") remove("a/second");
    if (end === "isTaken") holdElsewhere("a");
    await look("a/second");
    woken.length = 0;
    admission.release("a/first");
    assert.deepEqual(woken, end === "remains" ? ["a/second"] : [], end);
  }
});
