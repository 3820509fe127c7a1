import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EtcdBackup, EtcdBackupStatus } from "../api/etcd-backup.ts";
import { type BackupDecision, afterFailure, decide, finalizer, whileUnknown } from "./backup.ts";
import {
  type BackupRecord,
  changed,
  deleting,
  deletionBlocked,
  failed,
  initialised,
  interrupted,
  restamped,
  retrying,
  started,
  succeeded,
} from "./backup-status.ts";
import { conditionStatus } from "./conditions.ts";
import { OperatorError } from "./errors.ts";

/** What happens between two looks of the controller. */
type Happening =
  | { what: "time"; seconds: number }
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
  | { state: "running" | "succeeded" }
  | { state: "failed"; failure: OperatorError };

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
function createWorld(backoffLimit: number) {
  let backup = fresh(backoffLimit);
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

  function change(next: EtcdBackup): void {
    const loses = lost;
    lost = undefined;
    if (loses === undefined || loses.persisted) backup = next;
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
        run = { state: "running" };
        return;
      case "watch":
        return;
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
        if ((running || run.state === "reserved") && !finished() && (backup.status.attempts ?? 0) > 0) {
          backup = { ...backup, status: interrupted(backup, { counts: false, now: now() }) };
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
        backup = { ...backup, metadata, spec: { ...backup.spec, deletionPolicy: event.is } };
        return;
      }
      case "deleted":
        if (deleted()) return;
        backup = { ...backup, metadata: { ...backup.metadata, deletionTimestamp: now().toISOString() } };
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
const story = fc.array(moment, { maxLength: 40, size: "max" });

type World = ReturnType<typeof createWorld>;

function live(world: World, moments: readonly (readonly [Happening, number])[]): void {
  for (const [event, looks] of moments) {
    world.happen(event);
    for (let n = 0; n < looks; n++) world.look();
  }
}

/** No more incidents: the store is there and answers, a slot is free, each run ends. How many looks it takes. */
function settle(world: World, runEnds: "runSucceeds" | "runFails"): number {
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

/** A look each for start, watch, failure and waiting of each attempt; the rest is for beginning, end and a lost write. */
const enough = (backoffLimit: number) => 4 * (backoffLimit + 1) + 8;
const ends = fc.constantFrom("runSucceeds" as const, "runFails" as const);

test("whatever happens to operator, store and writes, the backup ends once it is left alone, and truthfully", () => {
  fc.assert(
    fc.property(story, fc.nat({ max: 3 }), ends, (moments, backoffLimit, runEnds) => {
      const world = createWorld(backoffLimit);
      live(world, moments);
      const looks = settle(world, runEnds);
      assert.ok(looks <= enough(backoffLimit), `${looks} looks`);
      assert.ok(world.finished());
      const { conditions, observedGeneration, nextAttemptTime, progress } = world.backup.status;
      if (conditionStatus(conditions, "Succeeded") === "True") assert.ok(world.inBucket);
      assert.equal(conditionStatus(conditions, "Reconciling"), "False");
      assert.equal(observedGeneration, world.backup.metadata.generation);
      assert.deepEqual([nextAttemptTime, progress], [undefined, undefined]);
    }),
    { numRuns: 1500 },
  );
});

test("a deleted backup goes, whenever it is deleted, and takes what it stored along where that was asked for", () => {
  fc.assert(
    fc.property(story, story, fc.nat({ max: 3 }), ends, (before, after, backoffLimit, runEnds) => {
      const world = createWorld(backoffLimit);
      live(world, before);
      world.happen({ what: "deleted" });
      live(world, after);
      assert.ok(settle(world, runEnds) <= 5);
      assert.ok(world.gone());
    }),
    { numRuns: 500 },
  );
});
