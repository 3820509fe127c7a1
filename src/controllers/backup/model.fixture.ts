import assert from "node:assert/strict";
import fc from "fast-check";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import {
  type BackupDecision,
  afterFailure,
  decide,
  finalizer,
  whileUnknown,
} from "../../core/backup/decide.ts";
import {
  type BackupRecord,
  changed,
  deleting,
  deletionBlocked,
  failed,
  initialised,
  interrupted,
  memberSelected,
  restamped,
  retrying,
  started,
  streaming,
  succeeded,
} from "../../core/backup/status.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { OperatorError } from "../../core/errors.ts";

/** What happens between two looks of the controller. */
export type Happening =
  | { what: "time"; seconds: number }
  | { what: "runReports"; member: boolean; bytes: number }
  | { what: "runSucceeds" | "runFails" | "runFailsForGood" }
  | { what: "crash"; stored: boolean }
  | { what: "stopInOrder" }
  | { what: "nextWriteIsLost"; persisted: boolean }
  | { what: "store"; is: "found" | "missing" | "readOnly" }
  | { what: "bucket"; is: "answers" | "silent" | "refuses" }
  | { what: "slots"; free: number }
  | { what: "policy"; is: "Retain" | "Delete" }
  | { what: "deleted" };

type Run =
  | { state: "none" }
  | { state: "reserved"; attempt: number }
  | { state: "running"; attempt: number; report: Report }
  | { state: "succeeded" }
  | { state: "failed"; failure: OperatorError };

/** What the run lets the controller see while it is under way. */
interface Report {
  member: boolean;
  bytes: number;
}

/** The backup as the API server held it from then on. */
export interface Version {
  backup: EtcdBackup;
  /** Who wrote it. Handing back: an operator that stops in good order gives up this attempt. */
  by: { who: "begin" | "user" | "controller" } | { who: "handBack"; attempt: number };
  at: Date;
}

class LostWrite extends Error {}

const begin = Date.parse("2026-08-20T12:00:00Z");
const transient = new OperatorError("Unreachable", "connection refused");
const silence = new OperatorError("StoreFailed", "503 SlowDown");
const refusal = new OperatorError("InvalidConfiguration", "no such region");

const record: BackupRecord = {
  name: "20260820T120000Z-r00000000000000000042-0f1e2d3c4b5ax1",
  cluster: { id: "cafe" },
  run: { id: "0f1e2d3c4b5ax1", startedAt: "2026-08-20T12:00:00Z", completedAt: "2026-08-20T12:00:05Z" },
  member: {
    id: "1",
    name: "m",
    endpoint: "http://e:2379",
    version: "3.6.0",
    isLeader: false,
    lag: 0,
    reason: "r",
  },
  snapshot: {
    revision: 42,
    hash: "00c36cdb",
    totalKeys: 1,
    pairs: 9,
    liveKeys: 1,
    totalSizeBytes: 20_480,
    sha256: "ab",
    withoutQuorum: false,
  },
  stored: { object: "prod/d.db", bytes: 900, crc32c: "00000001", compression: "None", proof: "ReadBack" },
};

const totalBytes = 20_480;
const choice = {
  reason: "r",
  withoutQuorum: false,
  refusals: [],
  chosen: {
    ...record.member,
    dbSize: totalBytes,
    dbSizeInUse: totalBytes,
    isLearner: false,
    leader: "2",
    raftTerm: 2,
    raftIndex: 9,
    raftAppliedIndex: 9,
    revision: 42,
    alarms: [],
  },
};

function fresh(backoffLimit: number): EtcdBackup {
  return {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdBackup",
    metadata: {
      name: "b",
      namespace: "ns",
      uid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: "2026-08-20T12:00:00Z",
    },
    spec: {
      clusterName: "prod",
      storeRef: { name: "s" },
      etcd: {
        endpoints: ["http://e:2379"],
        memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
      },
      compression: "None",
      verification: { readBack: false, hashKV: "Skip" },
      deletionPolicy: "Retain",
      timeoutSeconds: 3600,
      backoffLimit,
    },
    status: { observedGeneration: -1 },
  };
}

/** The API server's object, the process's run and the bucket; `look` does to them what the controller does. */
export function createWorld(backoffLimit: number) {
  let backup = fresh(backoffLimit);
  const history: Version[] = [{ backup, by: { who: "begin" }, at: new Date(begin) }];
  let run: Run = { state: "none" };
  let inBucket = false;
  let store: "found" | "missing" | "readOnly" = "found";
  let bucket: "answers" | "silent" | "refuses" = "answers";
  let slots = 1;
  let lost: { persisted: boolean } | undefined;
  let clock = begin;
  const now = () => new Date(clock);
  const deleted = () => backup.metadata.deletionTimestamp !== undefined;
  const finished = () => conditionStatus(backup.status.conditions, "Finished") === "True";
  const gone = () => deleted() && (backup.metadata.finalizers ?? []).length === 0;

  function keep(next: EtcdBackup, by: Version["by"]): void {
    backup = next;
    history.push({ backup, by, at: now() });
  }
  function change(next: EtcdBackup): void {
    const loses = lost;
    lost = undefined;
    if (loses === undefined || loses.persisted) keep(next, { who: "controller" });
    if (loses !== undefined) throw new LostWrite("the connection broke");
  }
  const write = (status: EtcdBackupStatus) => change({ ...backup, status });
  const writeFinalizers = (finalizers: string[]) =>
    change({ ...backup, metadata: { ...backup.metadata, finalizers } });

  function recordSuccess(): void {
    write(succeeded(backup, record, "s3://bucket", now()));
    run = { state: "none" };
  }

  function recordFailure(decision: BackupDecision): void {
    assert.ok(decision.do === "retry" || decision.do === "fail", decision.do);
    if (decision.do === "fail" && store !== "missing" && bucket === "answers") {
      assert.equal(inBucket, false, `a backup is in the bucket, and the status says ${decision.message}`);
    }
    write(decision.do === "retry" ? retrying(backup, decision, now()) : failed(backup, decision, now()));
    run = { state: "none" };
  }

  function showProgress(): void {
    assert.ok(run.state === "running");
    const { member, bytes } = run.report;
    let seen = backup;
    if (member && backup.status.member === undefined) {
      seen = { ...seen, status: memberSelected(seen, choice, now()) };
    }
    if (bytes > 0) {
      seen = { ...seen, status: streaming(seen, { bytes, totalBytes }, now()) };
    }
    if (seen !== backup) write(seen.status);
  }

  function recover(): void {
    assert.notEqual(store, "missing");
    if (bucket !== "answers") {
      const decision = whileUnknown(backup, bucket === "silent" ? silence : refusal, now());
      if (decision.do === "fail") return recordFailure(decision);
      return write(changed(backup, { outcome: "InProgress", ...decision }, now()));
    }
    if (inBucket) return recordSuccess();
    const next = afterFailure(backup, new OperatorError("Aborted", "the operator stopped"), now());
    if (next.do === "fail") return recordFailure(next);
    write(interrupted(backup, { counts: true, now: now() }));
  }

  function removeObjects(): void {
    write(deleting(backup, now()));
    if (store !== "found" || bucket !== "answers") return write(deletionBlocked(backup, "no answer", now()));
    inBucket = false;
    writeFinalizers([]);
  }

  function act(decision: BackupDecision): void {
    switch (decision.do) {
      case "nothing":
        run = { state: "none" };
        return;
      case "initialise":
        return write(initialised(backup, now()));
      case "restamp":
        return write(restamped(backup));
      case "addFinalizer":
        return writeFinalizers([finalizer]);
      case "removeFinalizer":
        assert.notEqual(run.state, "running", "a run may still store something");
        assert.ok(backup.spec.deletionPolicy === "Retain" || !inBucket, "the backup was to be deleted first");
        return writeFinalizers([]);
      case "removeObjects":
        assert.notEqual(run.state, "running", "a run may still store something");
        return removeObjects();
      case "cancel":
        run = { state: "none" };
        return;
      case "wait":
        return write(changed(backup, { outcome: "InProgress", ...decision }, now()));
      case "recover":
        return recover();
      case "start":
        assert.equal(store, "found", "an attempt starts only where it can be stored");
        assert.equal(inBucket, false, "a second backup would be stored");
        run = { state: "reserved", attempt: decision.attempt };
        write(started(backup, { attempt: decision.attempt, runId: "r" }, now()));
        run = { state: "running", attempt: decision.attempt, report: { member: false, bytes: 0 } };
        return;
      case "watch":
        return showProgress();
      case "succeed":
        return recordSuccess();
      case "retry":
      case "fail":
        return recordFailure(decision);
      default:
        return decision satisfies never;
    }
  }

  function look(): BackupDecision["do"] {
    if (gone()) {
      run = { state: "none" };
      return "nothing";
    }
    const before = finished() ? backup : undefined;
    const { state, ...known } = run as Run & { attempt?: number; failure?: OperatorError };
    const decision = decide({ backup, store, run: state, ...known, freeSlots: slots }, now());
    try {
      act(decision);
    } catch (error) {
      if (!(error instanceof LostWrite)) throw error;
    }
    assert.ok((backup.status.attempts ?? 0) <= backoffLimit + 1, `${backup.status.attempts} attempts`);
    if (before !== undefined && !deleted()) {
      assert.deepEqual(restamped(backup), restamped({ ...before, metadata: backup.metadata }));
      assert.ok(["nothing", "restamp", "addFinalizer", "removeFinalizer"].includes(decision.do), decision.do);
    }
    if (decision.do === "wait") clock += decision.ms;
    return decision.do;
  }

  function happen(event: Happening): void {
    const running = run.state === "running";
    switch (event.what) {
      case "time":
        clock += event.seconds * 1000;
        return;
      case "runReports":
        if (run.state === "running") run = { ...run, report: { member: event.member, bytes: event.bytes } };
        return;
      case "runSucceeds":
        if (!running || store === "missing") return;
        inBucket = true;
        run = { state: "succeeded" };
        return;
      case "runFails":
        if (running) run = { state: "failed", failure: transient };
        return;
      case "runFailsForGood":
        if (running) run = { state: "failed", failure: new OperatorError("VerificationFailed", "x") };
        return;
      case "crash":
        if (running && event.stored) inBucket = true;
        run = { state: "none" };
        return;
      case "stopInOrder":
        // As the operator hands back what it gives up; a backup that has ended has no run.
        if (
          (run.state === "running" || run.state === "reserved") &&
          !finished() &&
          backup.status.attempts === run.attempt
        ) {
          const status = interrupted(backup, { counts: false, now: now() });
          keep({ ...backup, status }, { who: "handBack", attempt: run.attempt });
        }
        run = { state: "none" };
        return;
      case "nextWriteIsLost":
        lost = { persisted: event.persisted };
        return;
      case "store":
        store = event.is;
        return;
      case "bucket":
        bucket = event.is;
        return;
      case "slots":
        slots = event.free;
        return;
      case "policy": {
        if (backup.spec.deletionPolicy === event.is) return;
        const metadata = { ...backup.metadata, generation: backup.metadata.generation + 1 };
        keep({ ...backup, metadata, spec: { ...backup.spec, deletionPolicy: event.is } }, { who: "user" });
        return;
      }
      case "deleted":
        if (deleted()) return;
        keep(
          { ...backup, metadata: { ...backup.metadata, deletionTimestamp: now().toISOString() } },
          { who: "user" },
        );
        return;
      default:
        event satisfies never;
    }
  }

  return {
    look,
    happen,
    gone,
    finished,
    history: history as readonly Version[],
    get backup() {
      return backup;
    },
    get inBucket() {
      return inBucket;
    },
  };
}

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("time" as const),
      seconds: fc.oneof(fc.nat({ max: 60 }), fc.constant(3600)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant("runReports" as const),
      member: fc.boolean(),
      bytes: fc.constantFrom(0, 4_096, totalBytes),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constantFrom("runSucceeds" as const, "runFails" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constantFrom("runFailsForGood" as const, "stopInOrder" as const) }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("crash" as const), stored: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ what: fc.constant("nextWriteIsLost" as const), persisted: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("store" as const),
      is: fc.constantFrom("found" as const, "found" as const, "missing" as const, "readOnly" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("bucket" as const),
      is: fc.constantFrom("answers" as const, "answers" as const, "silent" as const, "refuses" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("slots" as const), free: fc.nat({ max: 1 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant("policy" as const),
      is: fc.constantFrom("Retain" as const, "Delete" as const),
    }),
  },
);
/** A happening after which the controller looks so many times. */
const moment = fc.tuple(happening, fc.nat({ max: 3 }));
export const story = fc.array(moment, { maxLength: 40, size: "max" });

export type World = ReturnType<typeof createWorld>;

/** Each happening, and the looks that follow it. */
export function live(world: World, moments: readonly (readonly [Happening, number])[]): void {
  for (const [event, looks] of moments) {
    world.happen(event);
    for (let n = 0; n < looks; n++) world.look();
  }
}

/** No more incidents: the store is there and answers, a slot is free, each run ends. How many looks it takes. */
export function settle(world: World, runEnds: "runSucceeds" | "runFails"): number {
  world.happen({ what: "store", is: "found" });
  world.happen({ what: "bucket", is: "answers" });
  world.happen({ what: "slots", free: 1 });
  for (let looks = 1; looks <= 100; looks++) {
    const done = world.look();
    if (done === "nothing") return looks;
    if (done === "watch") world.happen({ what: runEnds });
  }
  return assert.fail(`no end after 100 looks: ${JSON.stringify(world.backup.status)}`);
}
