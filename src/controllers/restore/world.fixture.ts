import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import { snapshotFile } from "../../../test/testdata/snapshot-files.ts";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type EtcdRestore, etcdRestoreDefinition } from "../../api/v1alpha1/etcd-restore.ts";
import { saveFile } from "../../backup/saved.fixture.ts";
import { imported, succeeded } from "../../core/backup/status.ts";
import { OperatorError } from "../../core/errors.ts";
import { memberFacts } from "../../core/etcd/member.fixture.ts";
import type { MemberFacts } from "../../core/etcd/member-choice.ts";
import type { RestoreDecision } from "../../core/restore/decide.ts";
import type { RestoreReport, RestoreResult } from "../../core/restore/observed.ts";
import { memoryApi, noRoute } from "../../kube/memory-api/memory-api.fixture.ts";
import { type KubeObject, type ResourceKind, customResource } from "../../kube/objects.ts";
import { type WorkloadKind, workload } from "../../kube/workloads.ts";
import { operatorResources } from "../../operator/resources.ts";
import { factsOf } from "../../store/kinds.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { requestOf } from "../reconciler.ts";
import { holdsOver } from "../store/holds.fixture.ts";
import { Admission } from "../admission.ts";
import { asData } from "../data.fixture.ts";
import { InProcessRunner } from "../in-process-runner.ts";
import type { RestoreWork, RestoreWorkDeps } from "./context.ts";
import { restoreReconciler } from "./reconcile.ts";
import { performStep } from "./work.ts";

const { signal } = new AbortController();
const ref = { namespace: "ns", name: "back" };
const key = "ns/back";
const restores: ResourceKind<EtcdRestore> = customResource(etcdRestoreDefinition);
const pods: ResourceKind<KubeObject & { status?: object }> = {
  group: "",
  version: "v1",
  plural: "pods",
  kind: "Pod",
  namespaced: true,
};
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const storeRef = { namespace: "ns", name: "s" };
const backupRef = { namespace: "ns", name: "b" };
const file = snapshotFile("mixed-3.6");
export const created = [
  "PersistentVolumeClaim",
  "Job",
  "Service",
  "PodDisruptionBudget",
  "StatefulSet",
] as const;

function member(index: number): MemberFacts {
  const isLeader = index === 0;
  return memberFacts(`back-${index}`, {
    endpoint: `http://10.0.0.${index}:2379`,
    isLeader,
    leader: "back-0",
  });
}

export interface Options {
  storageSize?: string;
  /** Of the EtcdBackupStore: the field of its spec. */
  location?: object;
  /** Names the backup by its EtcdBackup. */
  byBackupRef?: boolean;
  /** The EtcdBackup records a stored backup and made none. */
  isImported?: boolean;
}

/**
 * One EtcdRestore of three members in an API server and a bucket, both in memory; the real reconciler in a process that
 * may die; and a kubelet that runs what it finds: each Job succeeds, each StatefulSet becomes ready.
 */
export async function createRestoreWorld({
  storageSize = "8Gi",
  location = { s3: { bucket: "backups" } },
  byBackupRef = false,
  isImported = false,
}: Options = {}) {
  let clock = Date.parse("2026-08-20T12:00:00Z");
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  const bucket = memoryStore();
  const manifest = await saveFile(file, bucket, { clusterName: "prod", compression: "None" });
  const createStore = () => void api.create(stores, { metadata: storeRef, spec: location });
  createStore();
  api.create(backups, {
    metadata: backupRef,
    spec: {
      clusterName: "prod",
      storeRef: { name: "s" },
      ...(isImported ? { imported: { backup: manifest.name } } : { etcd: { endpoints: ["http://e:2379"] } }),
    },
  });
  api.change(backups, backupRef, (backup) => {
    backup.status = (isImported ? imported : succeeded)(backup, manifest, bucket, now());
  });
  api.create(restores, {
    metadata: ref,
    spec: {
      source: byBackupRef
        ? { backupRef: { name: "b" } }
        : { store: { storeRef: { name: "s" }, clusterName: "prod" } },
      target: { cluster: { name: "back", image: "etcd:3.6.16", storage: { size: storageSize } } },
    },
  });
  const events: string[] = [];
  const faults: { loseAnswerOf?: number; fetchExits?: (job: string) => number | undefined } = {};
  const woken: string[] = [];
  let writes = 0;
  const cluster = { keys: manifest.snapshot.liveKeys, hashes: [1, 1, 1] };
  let decided: RestoreDecision["do"] = "nothing";
  api.afterRequest = ({ verb }) => {
    if (verb !== "patch" && verb !== "create") return;
    writes += 1;
    if (writes === faults.loseAnswerOf) throw noRoute();
  };

  const openRestored: RestoreWorkDeps["openRestored"] = async () => ({
    observe: async () => ({ clusterId: "beef", members: [member(0), member(1), member(2)] }),
    async hashKV(endpoint) {
      const index = Number(/\.(\d):/.exec(endpoint)?.[1]);
      return { hash: cluster.hashes[index] ?? 0, compactRevision: 1 };
    },
    countKeys: async () => cluster.keys,
    disarm: async () => {},
    async [Symbol.asyncDispose]() {},
  });

  function startProcess() {
    const wake = (woke: string) => void woken.push(woke);
    const admission = new Admission({ limit: 2, wake });
    const resources = operatorResources(api.client, { check() {} });
    const shared = {
      resources,
      openStore: async () => ({ ...bucket, async [Symbol.asyncDispose]() {} }),
      factsOf,
      operatorImage: "operator:1",
      log: {
        debug(fields: object) {
          if ("decision" in fields) decided = fields["decision"] as RestoreDecision["do"];
        },
        info() {},
        warn() {},
        error() {},
      },
    };
    const runs = new InProcessRunner<RestoreWork, RestoreReport, RestoreResult>({
      slots: admission,
      wake,
      firstReport: ({ step }) => ({ step }),
      perform: (work, ...rest) => performStep({ ...shared, openRestored }, asData(work), ...rest),
    });
    const reconcile = restoreReconciler({
      ...shared,
      holds: holdsOver(resources, { now }),
      admission,
      runs,
      jobStore: async () => ({ flags: [], variables: {}, secretVariables: [], mounts: [] }),
      events: { record: ({ reason }) => void events.push(reason) },
      now,
    });
    return { runs, reconcile };
  }
  let process = startProcess();

  const objectsOf = (kind: WorkloadKind) => api.objects(workload(kind));

  function runKubelet(): void {
    for (const { metadata, status } of objectsOf("Job")) {
      if (status?.succeeded !== undefined || status?.failed !== undefined) continue;
      const exitCode = faults.fetchExits?.(metadata.name);
      if (exitCode !== undefined) failFetch(metadata.name, exitCode);
      api.change(workload("Job"), refOf(metadata), (job) => {
        job.status = exitCode === undefined ? { succeeded: 1 } : { failed: 1 };
      });
    }
    for (const { metadata } of objectsOf("StatefulSet"))
      api.change(workload("StatefulSet"), refOf(metadata), (set) => {
        set.status = { readyReplicas: 3 };
      });
  }

  /** The Pod of a Job whose first container ends with this code. */
  function failFetch(job: string, exitCode: number): void {
    const pod = { namespace: "ns", name: `${job}-pod` };
    const spec = { containers: [{ name: "place", image: "operator:1" }] };
    api.create(pods, { metadata: { ...pod, labels: { "job-name": job } }, spec });
    api.change(pods, pod, (object) => {
      const terminated = { exitCode, message: "the fetch container said this" };
      object.status = { phase: "Failed", initContainerStatuses: [{ name: "fetch", state: { terminated } }] };
    });
  }

  /** One pass of the reconciler; then the run under way ends and the clock goes on. */
  async function look(): Promise<RestoreDecision["do"]> {
    decided = "nothing";
    const before = writes;
    try {
      const again = await process.reconcile(requestOf(key), signal);
      clock += again?.againAfterMs ?? 0;
    } catch (error) {
      const { loseAnswerOf = 0 } = faults;
      const wasLost = before < loseAnswerOf && loseAnswerOf <= writes;
      if (!wasLost || !(error instanceof OperatorError)) throw error;
      // The queue tries again, also a pass that ended before its decision.
      if (decided === "nothing") decided = "wait";
    }
    await runEnds();
    return decided;
  }

  async function runEnds(): Promise<void> {
    const uid = api.object(restores, ref)?.metadata.uid;
    if (uid === undefined) return;
    for (let turn = 0; process.runs.view(key, uid).state === "running"; turn++) {
      assert.ok(turn < 10_000, "the run does not end");
      // Decompression runs in other threads, which a busy machine may schedule late.
      await (turn < 100 ? setImmediate() : setTimeout(1));
    }
  }

  function restore(): EtcdRestore {
    return api.object(restores, ref) ?? assert.fail("the EtcdRestore is gone");
  }

  return {
    api,
    bucket,
    manifest,
    cluster,
    events,
    faults,
    look,
    runKubelet,
    restore,
    objectsOf,
    get writes() {
      return writes;
    },
    createStore,
    /** The operator of another Lease takes the store. */
    holdElsewhere: () =>
      void api.change(stores, storeRef, ({ status }) => {
        status.operator = {
          lease: "other/operator",
          renewTime: "2026-08-20T12:00:00Z",
          durationSeconds: 900,
        };
      }),
    removeRestore: () => api.remove(restores, ref),
    removeStore: () => api.remove(stores, storeRef),
    /** As retention or a person does. */
    pruneBackup: () => api.remove(backups, backupRef),
    /** Creates an object that is not of this restore. */
    createForeign(kind: WorkloadKind, name: string, spec: Record<string, unknown>) {
      api.create(workload(kind), { metadata: { namespace: "ns", name }, spec });
    },
    /** Other EtcdRestores hold all slots, until the function that is returned is called. */
    async occupySlots(): Promise<() => Promise<void>> {
      const others = ["other/1", "other/2"];
      for (const other of others) process.runs.reserve(other, { uid: other, attempt: 1 });
      return async () => {
        for (const other of others) await process.runs.cancel(other, "its slot is needed");
      };
    },
    woken,
    /** The process dies; what it held is lost. */
    crash() {
      process = startProcess();
    },
    conditions: () =>
      Object.fromEntries((restore().status.conditions ?? []).map(({ type, status }) => [type, status])),
  };
}

export type RestoreWorld = Awaited<ReturnType<typeof createRestoreWorld>>;

function refOf({ namespace = "", name }: { namespace?: string; name: string }) {
  return { namespace, name };
}

/** Passes until nothing is left to do. `before` is called before each. Resolves to the decisions, one after the other. */
export async function liveToTheEnd(
  world: RestoreWorld,
  before: (pass: number) => void = () => {},
): Promise<string[]> {
  const decisions: string[] = [];
  for (let pass = 1; pass <= 100; pass++) {
    before(pass);
    world.runKubelet();
    const decided = await world.look();
    decisions.push(decided);
    if (decided === "nothing") return decisions;
  }
  return assert.fail(`no end after 100 passes: ${decisions.join(" ")}`);
}
