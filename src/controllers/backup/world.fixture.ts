import assert from "node:assert/strict";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { type BackupDecision, forceDelete } from "../../core/backup/decide.ts";
import { objectKind } from "../../core/backup/name.ts";
import { restamped } from "../../core/backup/status.ts";
import type { BackupReport, StoredBackup } from "../../core/backup/observed.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { OperatorError } from "../../core/errors.ts";
import { storeFinalizer } from "../../core/store/guard.ts";
import { memberFacts } from "../../core/etcd/member.fixture.ts";
import type { ChosenMember } from "../../core/etcd/member-choice.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { memoryApi, noRoute } from "../../kube/memory-api/memory-api.fixture.ts";
import { handBack } from "../../operator/hand-back.ts";
import { operatorResources } from "../../operator/resources.ts";
import { factsOf } from "../../store/kinds.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { type Result, requestOf } from "../reconciler.ts";
import { KeyedMutex } from "../keyed-mutex.ts";
import { Admission } from "../admission.ts";
import { asData } from "../data.fixture.ts";
import { InProcessRunner } from "../in-process-runner.ts";
import { Catalogs } from "../store/catalogs.ts";
import { holdsOver } from "../store/holds.fixture.ts";
import type { AttemptWork } from "./attempt.ts";
import type { BackupControllerDeps } from "./context.ts";
import { backupReconciler } from "./reconcile.ts";

/** What happens between two passes of the reconciler. */
export type Happening =
  | { what: "time"; seconds: number }
  | { what: "runReports"; member: boolean; bytes: number }
  | { what: "runSucceeds" | "runFails" | "runFailsForGood" }
  /** The run fails with its last request under way. */
  | { what: "runFailsUnknown"; stored: boolean }
  | { what: "crash"; stored: boolean }
  | { what: "stopInOrder" }
  | { what: "nextWriteIsLost"; persisted: boolean }
  | { what: "store"; is: "found" | "missing" | "readOnly" }
  | { what: "bucket"; is: "answers" | "silent" | "refuses" }
  | { what: "slots"; free: number }
  | { what: "policy"; is: "Retain" | "Delete" }
  | { what: "deleted" };

/** The backup as the API server held it from then on. `handBack`: an orderly stop gave up this attempt. */
export interface Version {
  backup: EtcdBackup;
  by: { who: "begin" | "user" | "controller" } | { who: "handBack"; attempt: number };
  at: Date;
}

/** One attempt as the reconciler started it, to be ended by the story. */
interface RunningAttempt {
  runId: string;
  report: (change: Partial<BackupReport>) => void;
  succeed: (stored: StoredBackup) => void;
  fail: (error: OperatorError) => void;
}

const begin = Date.parse("2026-08-20T12:00:00Z");
const ref = { namespace: "ns", name: "b" };
const key = "ns/b";
const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const storeRef = { namespace: "ns", name: "s" };
const storeDraft = { metadata: storeRef, spec: { s3: { bucket: "backups" } } };
/** The writer that the store's own controller has given it. */
export const writerStatus = { id: "w0", renewal: 1, nonce: "00000000" };
export const totalBytes = 20_480;

const choice: ChosenMember = {
  reason: "follower, lag 0",
  withoutQuorum: false,
  refusals: [],
  chosen: memberFacts("m"),
};

/**
 * One EtcdBackup in an API server and a bucket, both in memory, and the real reconciler in a process that may die.
 * `imported`: the stored backup that the EtcdBackup records, in place of making one.
 */
export function createWorld(backoffLimit: number, imported?: string) {
  const { signal } = new AbortController();
  let clock = begin;
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  const draft = {
    metadata: ref,
    spec: {
      clusterName: "prod",
      storeRef: { name: storeRef.name },
      ...(imported === undefined
        ? { etcd: { endpoints: ["http://e:2379"] } }
        : { imported: { backup: imported } }),
      backoffLimit,
      timeoutSeconds: 3600,
    },
  };
  api.create(backups, draft);
  createStore();
  const read = () => api.object(backups, ref);
  let backup = read() ?? assert.fail("the EtcdBackup was not created");
  const history: Version[] = [{ backup, by: { who: "begin" }, at: now() }];
  const bucket = memoryStore();
  const events: string[] = [];
  const notes: string[] = [];
  let place = { url: bucket.url, location: bucket.location };
  const ends: string[] = [];
  let store: "found" | "missing" | "readOnly" = "found";
  let answers: "answers" | "silent" | "refuses" = "answers";
  let free = 1;
  let lost: { persisted: boolean } | undefined;
  let attempt: RunningAttempt | undefined;
  const last: { decision: BackupDecision["do"] } = { decision: "nothing" };
  const lastDecision = () => last.decision;
  let author: Version["by"] = { who: "controller" };
  bucket.beforeCall = () => {
    if (answers === "silent") throw new OperatorError("StoreFailed", "503 SlowDown");
    if (answers === "refuses") throw new OperatorError("InvalidConfiguration", "no such region");
  };
  api.beforeRequest = ({ verb }) => {
    if (verb !== "patch" || lost === undefined || lost.persisted) return;
    lost = undefined;
    throw noRoute();
  };
  api.afterRequest = ({ verb }) => {
    if (verb !== "patch") return;
    note(author);
    if (lost === undefined) return;
    lost = undefined;
    throw noRoute();
  };

  const isInBucket = () => [...bucket.objects.keys()].some((name) => objectKind(name) === "manifest");
  const isDeleted = () => backup.metadata.deletionTimestamp !== undefined;
  const isFinished = () => conditionStatus(backup.status.conditions, "Finished") === "True";

  const isGone = () => read() === undefined;

  /** Keeps what the last change made of the object. */
  function note(by: Version["by"]): void {
    const next = read();
    if (next === undefined || next.metadata.resourceVersion === backup.metadata.resourceVersion) return;
    backup = next;
    history.push({ backup, by, at: now() });
  }

  const resources = operatorResources(api.client, { check() {} });

  /** What a process holds and loses when it dies. */
  function startProcess() {
    const admission = new Admission({ limit: 1, wake() {} });
    const runs = new InProcessRunner<AttemptWork, BackupReport, StoredBackup>({
      slots: admission,
      wake() {},
      firstReport: () => ({}),
      perform: (work, report, cancelled) => {
        const { promise, resolve, reject } = Promise.withResolvers<StoredBackup>();
        cancelled.addEventListener("abort", () => reject(cancelled.reason));
        attempt = { runId: asData(work).runId, report, succeed: resolve, fail: reject };
        return promise;
      },
    });
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const deps: BackupControllerDeps = {
      resources,
      admission,
      runs,
      openStore: async () => memoryView(),
      factsOf,
      events: {
        record({ reason, action, note: text }) {
          events.push(`${action} ${reason}`);
          notes.push(text);
        },
      },
      metrics: { backupEnded: (_cluster, result) => void ends.push(result), storedBackupLeft() {} },
      guards: new KeyedMutex(),
      writers: new Map(),
      catalogs: new Catalogs(now),
      holds: holdsOver(resources, { now, events: { record: ({ reason }) => void events.push(reason) } }),
      now,
      log: {
        ...log,
        debug: (fields) => {
          if ("decision" in fields) last.decision = fields["decision"] as BackupDecision["do"];
        },
      },
    };
    return { runs, deps, reconcile: backupReconciler(deps) };
  }
  const memoryView = () => ({ ...bucket, ...place, async [Symbol.asyncDispose]() {} });
  let process = startProcess();
  const runState = () => process.runs.view(key, backup.metadata.uid).state;

  /** Stores the backup of the running attempt, as its commit does. */
  function storeBackup({ runId }: RunningAttempt): StoredBackup {
    const identity = { runId, time: "2026-08-20T12:00:00Z", ownerUid: backup.metadata.uid };
    const { manifest } = addBackup(bucket, identity, now());
    return { manifest, storeUrl: place.url, storeLocation: place.location };
  }

  function assertLawful(): void {
    const decided = lastDecision();
    const { deletionPolicy } = backup.spec;
    const isForced = backup.metadata.annotations?.[forceDelete] !== undefined;
    const isUnderWay = runState() === "running";
    const makesBackup = imported === undefined;
    if (decided === "start") {
      assert.equal(store, "found", "an attempt starts only where it can be stored");
      assert.equal(isInBucket(), false, "a second backup would be stored");
      const guarded = api.object(stores, storeRef)?.metadata.finalizers?.includes(storeFinalizer) === true;
      assert.ok(guarded || deletionPolicy === "Retain", "the store could be deleted first");
    }
    if (decided === "removeFinalizer" || decided === "deleteStored" || decided === "recordDeleting")
      assert.equal(isUnderWay, false, "a run may still store something");
    if (decided === "removeFinalizer" && isGone())
      assert.ok(
        deletionPolicy === "Retain" || isForced || !makesBackup || !isInBucket(),
        "the stored backup was to be deleted first",
      );
    if (makesBackup && decided === "fail" && isFinished() && store !== "missing" && answers === "answers") {
      const [condition] = backup.status.conditions ?? [];
      assert.equal(
        isInBucket(),
        false,
        `the bucket holds a backup, and the status says ${condition?.message}`,
      );
    }
    assert.ok((backup.status.attempts ?? 0) <= backoffLimit + 1, `${backup.status.attempts} attempts`);
  }

  /** One pass of the reconciler. Resolves to what it decided; to `wait` when a lost write ended it before that. */
  async function look(): Promise<BackupDecision["do"]> {
    const before = isFinished() ? backup : undefined;
    last.decision = "nothing";
    let isCut = false;
    const willLose = lost !== undefined;
    let again: Result;
    try {
      again = await process.reconcile(requestOf(key), signal);
    } catch (error) {
      // Only a write that was lost may end a pass.
      if (!willLose || lost !== undefined) throw error;
      isCut = lastDecision() === "nothing";
    }
    assertLawful();
    const decided = lastDecision();
    if (before !== undefined && !isDeleted()) {
      assert.deepEqual(restamped(backup), restamped({ ...before, metadata: backup.metadata }));
      assert.ok(["nothing", "restamp", "addFinalizer", "removeFinalizer"].includes(decided), decided);
    }
    if (["wait", "lookUpStored", "lookAgain"].includes(decided)) clock += again?.againAfterMs ?? 0;
    return isCut ? "wait" : decided;
  }

  async function endRun(end: (running: RunningAttempt) => void): Promise<void> {
    if (runState() !== "running" || attempt === undefined) return;
    end(attempt);
    // The runner sees the end of a run a few microtasks later.
    for (let turn = 0; turn < 5 && runState() === "running"; turn++) await Promise.resolve();
    assert.notEqual(runState(), "running");
  }

  async function happen(event: Happening): Promise<void> {
    switch (event.what) {
      case "time":
        clock += event.seconds * 1000;
        return;
      case "runReports":
        if (runState() !== "running") return;
        if (event.member) attempt?.report({ choice });
        if (event.bytes > 0) attempt?.report({ progress: { bytes: event.bytes, totalBytes } });
        return;
      case "runSucceeds":
        if (store === "missing") return;
        return endRun((running) => running.succeed(storeBackup(running)));
      case "runFails":
        return endRun(({ fail }) => fail(new OperatorError("Unreachable", "connection refused")));
      case "runFailsForGood":
        return endRun(({ fail }) => fail(new OperatorError("VerificationFailed", "damaged")));
      case "runFailsUnknown":
        return endRun((running) => {
          if (event.stored) storeBackup(running);
          running.fail(new OperatorError("Unreachable", "reset", { outcomeUnknown: true }));
        });
      case "crash":
        if (event.stored && runState() === "running" && attempt !== undefined) storeBackup(attempt);
        process = startProcess();
        return;
      case "stopInOrder": {
        const { runs, deps } = process;
        const interrupted = await runs.stopAll("the operator is stopping");
        const [given] = interrupted;
        if (given !== undefined) author = { who: "handBack", attempt: given.attempt };
        await handBack(deps, interrupted);
        author = { who: "controller" };
        process = startProcess();
        if (free === 0) occupySlot();
        return;
      }
      case "nextWriteIsLost":
        lost = { persisted: event.persisted };
        return;
      case "store":
        store = event.is;
        setStore(event.is);
        return;
      case "bucket":
        answers = event.is;
        return;
      case "slots":
        free = event.free;
        if (free === 0) occupySlot();
        else await process.runs.cancel("other/b", "its slot is needed");
        return;
      case "policy":
        if (isGone() || backup.spec.deletionPolicy === event.is) return;
        api.change(backups, ref, ({ spec }) => {
          spec.deletionPolicy = event.is;
        });
        note({ who: "user" });
        return;
      case "deleted":
        if (isDeleted() || isGone()) return;
        api.remove(backups, ref);
        note({ who: "user" });
        return;
      default:
        event satisfies never;
    }
  }

  /** The store as its first probe leaves it. */
  function createStore(): void {
    api.create(stores, storeDraft);
    api.change(stores, storeRef, ({ status }) => {
      status.writer = writerStatus;
    });
  }

  function occupySlot(): void {
    process.runs.reserve("other/b", { uid: "another", attempt: 1 });
  }

  function setStore(is: "found" | "missing" | "readOnly"): void {
    if (is === "missing") {
      if (api.object(stores, storeRef) === undefined) return;
      // A person removes the finalizer of a store whose backups are not to be deleted.
      api.change(stores, storeRef, ({ metadata }) => {
        metadata.finalizers = [];
      });
      api.remove(stores, storeRef);
      return;
    }
    if (api.object(stores, storeRef) === undefined) createStore();
    api.change(stores, storeRef, ({ spec }) => {
      spec.accessMode = is === "readOnly" ? "ReadOnly" : "ReadWrite";
    });
  }

  return {
    look,
    happen,
    finished: isFinished,
    history: history as readonly Version[],
    bucket,
    /** Reasons of the events, and the ends that metrics count, in order. */
    events: events as readonly string[],
    notes: notes as readonly string[],
    ends: ends as readonly string[],
    /** The EtcdBackupStore leads elsewhere, as one that was deleted and made again under its name. */
    moveStore(next: { url: string; location: string }) {
      place = next;
    },
    setWriter(writer: typeof writerStatus | undefined) {
      api.change(stores, storeRef, ({ status }) => {
        if (writer === undefined) delete status.writer;
        else status.writer = writer;
      });
    },
    /** The operator of another Lease takes the store, or lets it go. */
    holdElsewhere(is = true) {
      api.change(stores, storeRef, ({ status }) => {
        if (is)
          status.operator = {
            lease: "other/operator",
            renewTime: "2026-08-20T12:00:00Z",
            durationSeconds: 900,
          };
        else delete status.operator;
      });
    },
    /** What the last probe of the store reported. */
    setCapabilities(capabilities: NonNullable<EtcdBackupStore["status"]["capabilities"]>) {
      api.change(stores, storeRef, ({ status }) => {
        status.capabilities = capabilities;
      });
    },
    changeStore(change: (store: EtcdBackupStore) => void) {
      api.change(stores, storeRef, change);
    },
    /** Deletes the object and creates another of its name. */
    replaceObject() {
      api.remove(backups, ref);
      backup = api.create(backups, draft);
    },
    /** Changes the object as a user would. */
    change(edit: (object: EtcdBackup) => void) {
      backup = api.change(backups, ref, edit);
    },
    runState,
    get gone() {
      return isGone();
    },
    get backup() {
      return backup;
    },
    get inBucket() {
      return isInBucket();
    },
  };
}

export type World = ReturnType<typeof createWorld>;

/** Each happening, and the passes that follow it. */
export async function live(world: World, moments: readonly (readonly [Happening, number])[]): Promise<void> {
  for (const [event, looks] of moments) {
    await world.happen(event);
    for (let n = 0; n < looks; n++) await world.look();
  }
}

/** No more incidents: the store exists and answers, a slot is free, each run ends. Resolves to the number of passes. */
export async function settle(world: World, runEnds: "runSucceeds" | "runFails"): Promise<number> {
  await world.happen({ what: "store", is: "found" });
  await world.happen({ what: "bucket", is: "answers" });
  await world.happen({ what: "slots", free: 1 });
  for (let looks = 1; looks <= 100; looks++) {
    const done = await world.look();
    if (done === "nothing") return looks;
    if (done === "reportProgress") await world.happen({ what: runEnds });
  }
  return assert.fail(`no end after 100 passes: ${JSON.stringify(world.backup.status)}`);
}
