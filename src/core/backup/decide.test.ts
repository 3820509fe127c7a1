import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { backupOf as backup, later, now } from "./backup.fixture.ts";
import { type BackupDecision, decide, finalizer, forceDelete } from "./decide.ts";
import type { BackupReport, ObservedBackup } from "./observed.ts";
import { runIdOf, runPrefix } from "./run-id.ts";
import {
  type BackupRecord,
  deleting,
  deletionBlocked,
  initialized,
  retrying,
  started,
  succeeded,
  waiting,
} from "./status.ts";
import { OperatorError } from "../errors.ts";

const record: BackupRecord = {
  name: "20260820T120000Z-r00000000000000000042-0f1e2d3c4b5ax1",
  cluster: { id: "cafe" },
  run: { id: "0f1e2d3c4b5ax1", startedAt: now.toISOString(), completedAt: later(5).toISOString() },
  member: {
    id: "1",
    name: "m",
    endpoint: "http://e:2379",
    version: "3.6.0",
    isLeader: false,
    lag: 0,
    reason: "follower, lag 0",
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
  stored: {
    object: "prod/20260820T120000Z-0f1e2d3c4b5ax1.db.zst",
    bytes: 900,
    crc32c: "00000001",
    compression: "Zstd",
    proof: "ReadBack",
  },
};

const pending = backup({ status: initialized(backup(), now) });
const begun = { ...pending, status: started(pending, { attempt: 1, runId: "r" }, now) };
const broken = new OperatorError("Unreachable", "connection refused");
const outcomeUnknown = new OperatorError("Unreachable", "connection reset", { outcomeUnknown: true });
const at = { url: "s3://bucket", location: "s3://bucket" };
const done = { ...begun, status: succeeded(begun, record, at, later(5)) };

const report: BackupReport = {};
const stored = { manifest: record, storeUrl: at.url, storeLocation: at.location };
const running = { state: "running", report } as const;
const hasSucceeded = { state: "succeeded", report, result: stored } as const;
const hasFailed = (error: OperatorError) => ({ state: "failed", report, error }) as const;
const reserved = { state: "reserved", attempt: 1 } as const;
const noAnswer = new OperatorError("StoreFailed", "503 SlowDown");

function decideOn(b: EtcdBackup, over: Partial<ObservedBackup> = {}, at = now): BackupDecision {
  const observed = {
    run: { state: "none" },
    stored: { state: "notAsked" },
    folder: { state: "free" },
  } as const;
  return decide(
    { backup: b, store: "found", isStoreGuarded: true, freeSlots: 1, place: 3, ...observed, ...over },
    at,
  );
}

describe("decide", () => {
  const deleted = { deletionTimestamp: now.toISOString() };
  const held = { finalizers: [finalizer] };
  const wantsDeletion = { spec: { deletionPolicy: "Delete" as const } };
  const going = {
    ...done,
    ...backup(wantsDeletion),
    status: done.status,
    metadata: { ...done.metadata, ...deleted, ...held },
  };
  const wanted: EtcdBackup = {
    ...pending,
    spec: { ...pending.spec, deletionPolicy: "Delete" },
    metadata: { ...pending.metadata, ...held },
  };
  const retry = { ...begun, status: retrying(begun, { do: "retry", at: later(10), error: broken }, now) };

  const table: [string, BackupDecision, BackupDecision["do"]][] = [
    ["a new EtcdBackup gets its first conditions", decideOn(backup()), "initialize"],
    ["a pending backup starts", decideOn(pending), "start"],
    ["a pending backup waits for a free slot", decideOn(pending, { freeSlots: 0 }), "wait"],
    ["a pending backup waits for its EtcdBackupStore", decideOn(pending, { store: "missing" }), "wait"],
    ["a pending backup fails when its store is ReadOnly", decideOn(pending, { store: "readOnly" }), "fail"],
    [
      "deletionPolicy Delete adds the finalizer before anything is stored",
      decideOn({ ...pending, spec: { ...pending.spec, deletionPolicy: "Delete" } }),
      "addFinalizer",
    ],
    [
      "with deletionPolicy Delete no attempt begins before the store is guarded",
      decideOn(wanted, { isStoreGuarded: false }),
      "guardStore",
    ],
    ["with deletionPolicy Delete an attempt begins in a guarded store", decideOn(wanted), "start"],
    [
      "with deletionPolicy Retain an attempt needs no guarded store",
      decideOn(pending, { isStoreGuarded: false }),
      "start",
    ],
    [
      "a reserved attempt does not begin before the store is guarded",
      decideOn(wanted, { run: reserved, isStoreGuarded: false }),
      "guardStore",
    ],
    [
      "a running attempt guards a store whose finalizer a person removed",
      decideOn(wanted, { run: running, isStoreGuarded: false }),
      "guardStore",
    ],
    [
      "a pending backup waits while its store is being deleted",
      decideOn(pending, { store: "deleting" }),
      "wait",
    ],
    [
      "a running attempt goes on while its store is being deleted",
      decideOn(begun, { run: running, store: "deleting" }),
      "reportProgress",
    ],
    [
      "a reserved attempt is cancelled when its store is being deleted",
      decideOn(begun, { run: reserved, store: "deleting" }),
      "cancel",
    ],
    [
      "an attempt without a run is looked up in a store that is being deleted, too",
      decideOn(begun, { store: "deleting" }),
      "lookUpStored",
    ],
    ["a running attempt reports its progress", decideOn(begun, { run: running }), "reportProgress"],
    [
      "a running attempt is cancelled when its store becomes ReadOnly",
      decideOn(begun, { run: running, store: "readOnly" }),
      "cancel",
    ],
    [
      "a reserved attempt starts with the number that status may already have",
      decideOn(begun, { run: reserved }),
      "start",
    ],
    [
      "a reserved attempt is cancelled when its store no longer exists",
      decideOn(begun, { run: reserved, store: "missing" }),
      "cancel",
    ],
    [
      "a reserved attempt is cancelled when its store became ReadOnly",
      decideOn(begun, { run: reserved, store: "readOnly" }),
      "cancel",
    ],
    ["an attempt without a run is looked up in the store", decideOn(begun), "lookUpStored"],
    [
      "an attempt without a run is looked up in a ReadOnly store, too",
      decideOn(begun, { store: "readOnly" }),
      "lookUpStored",
    ],
    ["a run that succeeded is recorded", decideOn(begun, { run: hasSucceeded }), "succeed"],
    ["a run that failed is tried again", decideOn(begun, { run: hasFailed(broken) }), "retry"],
    [
      "a run with a permanent error fails the backup",
      decideOn(begun, { run: hasFailed(new OperatorError("MembersDisagree", "x", { permanent: true })) }),
      "fail",
    ],
    [
      "a failed run with an unknown outcome is looked up in the store",
      decideOn(begun, { run: hasFailed(outcomeUnknown) }),
      "lookUpStored",
    ],
    [
      "a failed run with an unknown outcome waits for a missing store",
      decideOn(begun, { run: hasFailed(outcomeUnknown), store: "missing" }),
      "wait",
    ],
    [
      "a backup that an earlier operator stored is recorded",
      decideOn(begun, { stored: { state: "found", backup: stored } }),
      "succeed",
    ],
    [
      "a backup that a failed run stored is recorded",
      decideOn(begun, { run: hasFailed(outcomeUnknown), stored: { state: "found", backup: stored } }),
      "succeed",
    ],
    [
      "an earlier operator's attempt that stored nothing is followed by another one",
      decideOn(begun, { stored: { state: "absent" } }),
      "takeUpAgain",
    ],
    [
      "an earlier operator's last attempt that stored nothing fails the backup",
      decideOn({ ...begun, status: { ...begun.status, attempts: 4 } }, { stored: { state: "absent" } }),
      "fail",
    ],
    [
      "a failed run that stored nothing is tried again",
      decideOn(begun, { run: hasFailed(outcomeUnknown), stored: { state: "absent" } }),
      "retry",
    ],
    [
      "no other attempt begins while the store does not answer",
      decideOn(begun, { stored: { state: "unknown", error: noAnswer } }),
      "wait",
    ],
    [
      "no other attempt begins after a failed run while the store does not answer",
      decideOn(begun, { run: hasFailed(outcomeUnknown), stored: { state: "unknown", error: noAnswer } }),
      "wait",
    ],
    [
      "a store that does not answer until the deadline fails the backup",
      decideOn(begun, { stored: { state: "unknown", error: noAnswer } }, later(3600)),
      "fail",
    ],
    ["the next attempt waits for its time", decideOn(retry), "wait"],
    ["the next attempt starts at its time", decideOn(retry, {}, later(10)), "start"],
    ["the next attempt does not start after the deadline", decideOn(retry, {}, later(3600)), "fail"],
    [
      "a store that is missing until the deadline fails the backup",
      decideOn(retry, { store: "missing" }, later(3600)),
      "fail",
    ],
    ["an ended backup needs nothing", decideOn(done), "nothing"],
    [
      "an ended backup needs nothing while its run is still registered",
      decideOn(done, { run: hasSucceeded }),
      "nothing",
    ],
    [
      "a deletionPolicy that changes after the end is observed",
      decideOn({ ...done, metadata: { ...done.metadata, generation: 2 } }),
      "restamp",
    ],
    [
      "a deletionPolicy that becomes Delete after the end adds the finalizer",
      decideOn({ ...done, spec: { ...done.spec, deletionPolicy: "Delete" } }),
      "addFinalizer",
    ],
    [
      "a deletionPolicy that becomes Retain after the end removes the finalizer",
      decideOn({ ...done, metadata: { ...done.metadata, ...held } }),
      "removeFinalizer",
    ],
    ["a deletion cancels the run first", decideOn(backup({ metadata: deleted }), { run: running }), "cancel"],
    [
      "a deletion releases the slot of an attempt that has not begun",
      decideOn(backup({ metadata: deleted }), { run: reserved }),
      "cancel",
    ],
    [
      "a deletion with Retain removes the finalizer",
      decideOn({ ...done, metadata: { ...done.metadata, ...deleted, ...held } }),
      "removeFinalizer",
    ],
    ["a deletion with Delete first says in status that it deletes", decideOn(going), "recordDeleting"],
    [
      "a deletion with Delete that status names deletes the stored backup",
      decideOn({ ...going, status: deleting(going, now) }),
      "deleteStored",
    ],
    [
      "a blocked deletion is tried again",
      decideOn({ ...going, status: deletionBlocked(going, "no answer", now) }),
      "deleteStored",
    ],
    [
      "the force-delete annotation removes the finalizer at once",
      decideOn({
        ...done,
        ...backup(wantsDeletion),
        status: done.status,
        metadata: { ...done.metadata, ...deleted, ...held, annotations: { [forceDelete]: "true" } },
      }),
      "removeFinalizer",
    ],
    [
      "the force-delete annotation with the value false has no effect",
      decideOn({
        ...done,
        ...backup(wantsDeletion),
        status: done.status,
        metadata: { ...done.metadata, ...deleted, ...held, annotations: { [forceDelete]: "false" } },
      }),
      "recordDeleting",
    ],
  ];
  for (const [what, decision, expected] of table) it(what, () => assert.equal(decision.do, expected));

  it("gives the event of a failed backup the reason of its last error", () => {
    const last = { ...begun, status: { ...begun.status, attempts: 4 } };
    const decision = decideOn(last, { run: hasFailed(broken) });
    assert.partialDeepStrictEqual(decision, {
      do: "fail",
      reason: "BackoffLimitExceeded",
      eventReason: "SnapshotFailed",
    });
    const stopped = decideOn(last, { stored: { state: "absent" } });
    assert.deepEqual("eventReason" in stopped, false);
  });

  it("keeps a place in the line for a backup without a slot, and looks again at its deadline", () => {
    assert.partialDeepStrictEqual(decideOn(pending, { freeSlots: 0, place: 7 }), {
      do: "wait",
      ms: 600_000,
      forSlot: true,
      message:
        "the operator waits for a free slot: place 7; --max-concurrent-backups limits how many backups run at once",
    });
    for (const [behind, message] of [
      [
        { name: "b0" },
        "the operator waits for EtcdBackup b0 of the same etcd, which is read by one backup at a time",
      ],
      [{}, "the operator waits for another backup of the same etcd, which is read by one backup at a time"],
    ] as const)
      assert.partialDeepStrictEqual(decideOn(pending, { freeSlots: 0, place: 7, behind }), {
        do: "wait",
        reason: "Pending",
        forSlot: true,
        message,
      });
    const late = decideOn(retry, { freeSlots: 0 }, later(3590));
    assert.partialDeepStrictEqual(late, { do: "wait", ms: 10_000, forSlot: true });
    assert.ok(!("forSlot" in decideOn(retry)));
  });

  it("records a wait as an event only when a person may have to act", () => {
    const decisions = [
      decideOn(pending, { freeSlots: 0 }),
      decideOn(retry),
      decideOn(pending, { store: "missing" }),
      decideOn(begun, { stored: { state: "unknown", error: noAnswer } }),
    ];
    assert.deepEqual(
      decisions.map((decision) => decision.do === "wait" && decision.warn),
      [false, false, true, true],
    );
  });

  it("says since when a store is missing and what to do, in the same words at each later look", () => {
    const first = decideOn(pending, { store: "missing" });
    assert.ok(first.do === "wait");
    assert.match(first.message, /EtcdBackupStore s does not exist .* since 2026-08-20T12:00:00Z: create it/);
    const status = waiting(pending, first, now);
    assert.equal(status.waitingSince, "2026-08-20T12:00:00Z");
    const second = decideOn({ ...pending, status }, { store: "missing" }, later(3000));
    assert.ok(second.do === "wait");
    assert.deepEqual(second, first);
    const begins = started({ ...pending, status }, { attempt: 1, runId: "r" }, later(3000));
    assert.equal(begins.waitingSince, undefined, "the wait is over");
  });

  it("succeeds with the backup of the run or of the store", () => {
    for (const over of [{ run: hasSucceeded }, { stored: { state: "found", backup: stored } as const }])
      assert.deepEqual(decideOn(begun, over), { do: "succeed", stored });
  });
});

it("a run ID is made of the resource's UID and the attempt", () => {
  assert.equal(runIdOf(pending.metadata.uid, 2), "0f1e2d3c4b5ax2");
  assert.ok(runIdOf(pending.metadata.uid, 2).startsWith(runPrefix(pending.metadata.uid)));
});

it("a success has etcdutl's unpadded hash, a readable size and the URLs of the objects", () => {
  const { snapshot, artifact, duration } = done.status;
  assert.equal(snapshot?.hash, "c36cdb");
  assert.equal(snapshot?.size, "20 kB");
  assert.equal(duration, "5.0s");
  assert.equal(artifact?.url, "s3://bucket/prod/20260820T120000Z-0f1e2d3c4b5ax1.db.zst");
  assert.equal(artifact?.manifestURL, `s3://bucket/prod/${record.name}.json`);
});
