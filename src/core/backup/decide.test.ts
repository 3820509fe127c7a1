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

const seen = backup({ status: initialized(backup(), now) });
const begun = { ...seen, status: started(seen, { attempt: 1, runId: "r" }, now) };
const broken = new OperatorError("Unreachable", "connection refused");
const unsure = new OperatorError("Unreachable", "connection reset", { outcomeUnknown: true });
const done = { ...begun, status: succeeded(begun, record, "s3://bucket", later(5)) };

const report: BackupReport = {};
const stored = { manifest: record, storeUrl: "s3://bucket" };
const running = { state: "running", report } as const;
const hasSucceeded = { state: "succeeded", report, result: stored } as const;
const hasFailed = (error: OperatorError) => ({ state: "failed", report, error }) as const;
const reserved = { state: "reserved", attempt: 1 } as const;
const silent = new OperatorError("StoreFailed", "503 SlowDown");

function look(b: EtcdBackup, over: Partial<ObservedBackup> = {}, at = now): BackupDecision {
  const observed = { run: { state: "none" }, stored: { state: "notAsked" } } as const;
  return decide({ backup: b, store: "found", freeSlots: 1, ...observed, ...over }, at);
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
  const retry = { ...begun, status: retrying(begun, { do: "retry", at: later(10), error: broken }, now) };

  const table: [string, BackupDecision, BackupDecision["do"]][] = [
    ["a fresh object is given its first conditions", look(backup()), "initialize"],
    ["one that was seen starts", look(seen), "start"],
    ["no slot is free: it waits", look(seen, { freeSlots: 0 }), "wait"],
    ["the store's resource is not there yet: it waits", look(seen, { store: "missing" }), "wait"],
    ["nothing is written to a ReadOnly store", look(seen, { store: "readOnly" }), "fail"],
    [
      "deletionPolicy Delete takes a finalizer before anything is stored",
      look({ ...seen, spec: { ...seen.spec, deletionPolicy: "Delete" } }),
      "addFinalizer",
    ],
    ["a run is watched", look(begun, { run: running }), "reportProgress"],
    [
      "a run is cancelled when its store turns ReadOnly",
      look(begun, { run: running, store: "readOnly" }),
      "cancel",
    ],
    [
      "an attempt whose status write was lost starts as the same attempt",
      look(begun, { run: reserved }),
      "start",
    ],
    [
      "but gives its slot back when the store is gone meanwhile",
      look(begun, { run: reserved, store: "missing" }),
      "cancel",
    ],
    ["or has become ReadOnly", look(begun, { run: reserved, store: "readOnly" }), "cancel"],
    ["an attempt without a run was an earlier operator's", look(begun), "lookUpStored"],
    [
      "what an earlier operator finished is looked for in a ReadOnly store, too",
      look(begun, { store: "readOnly" }),
      "lookUpStored",
    ],
    ["a run that ended well is recorded", look(begun, { run: hasSucceeded }), "succeed"],
    ["a run that failed is tried again", look(begun, { run: hasFailed(broken) }), "retry"],
    [
      "a run that failed for good is not",
      look(begun, { run: hasFailed(new OperatorError("MembersDisagree", "x", { permanent: true })) }),
      "fail",
    ],
    [
      "what a run that failed may have stored is looked for first",
      look(begun, { run: hasFailed(unsure) }),
      "lookUpStored",
    ],
    [
      "and waits until there is a store to look into",
      look(begun, { run: hasFailed(unsure), store: "missing" }),
      "wait",
    ],
    [
      "a backup that an earlier operator stored is recorded",
      look(begun, { stored: { state: "found", backup: stored } }),
      "succeed",
    ],
    [
      "so is one that a failed run stored",
      look(begun, { run: hasFailed(unsure), stored: { state: "found", backup: stored } }),
      "succeed",
    ],
    [
      "an attempt of an earlier operator that stored nothing is taken up again",
      look(begun, { stored: { state: "absent" } }),
      "takeUpAgain",
    ],
    [
      "unless it was the last one",
      look({ ...begun, status: { ...begun.status, attempts: 4 } }, { stored: { state: "absent" } }),
      "fail",
    ],
    [
      "a failed run that stored nothing is tried again",
      look(begun, { run: hasFailed(unsure), stored: { state: "absent" } }),
      "retry",
    ],
    [
      "while the store does not say what it holds, no other attempt begins",
      look(begun, { stored: { state: "unknown", error: silent } }),
      "wait",
    ],
    [
      "nor after a failed run",
      look(begun, { run: hasFailed(unsure), stored: { state: "unknown", error: silent } }),
      "wait",
    ],
    ["until the deadline", look(begun, { stored: { state: "unknown", error: silent } }, later(3600)), "fail"],
    ["the next attempt waits for its time", look(retry), "wait"],
    ["and starts then", look(retry, {}, later(10)), "start"],
    ["but not after the deadline", look(retry, {}, later(3600)), "fail"],
    [
      "a store that never comes back ends it at the deadline",
      look(retry, { store: "missing" }, later(3600)),
      "fail",
    ],
    ["what has ended is left alone", look(done), "nothing"],
    ["even while a run of its is known", look(done, { run: hasSucceeded }), "nothing"],
    [
      "a changed deletionPolicy is seen after the end",
      look({ ...done, metadata: { ...done.metadata, generation: 2 } }),
      "restamp",
    ],
    [
      "and takes its finalizer",
      look({ ...done, spec: { ...done.spec, deletionPolicy: "Delete" } }),
      "addFinalizer",
    ],
    ["or lets it go", look({ ...done, metadata: { ...done.metadata, ...held } }), "removeFinalizer"],
    ["deletion ends the run first", look(backup({ metadata: deleted }), { run: running }), "cancel"],
    [
      "Retain lets the object go",
      look({ ...done, metadata: { ...done.metadata, ...deleted, ...held } }),
      "removeFinalizer",
    ],
    ["Delete first says in status that the stored backup is being deleted", look(going), "recordDeleting"],
    ["and then deletes it", look({ ...going, status: deleting(going, now) }), "deleteStored"],
    [
      "also where it was blocked before",
      look({ ...going, status: deletionBlocked(going, "no answer", now) }),
      "deleteStored",
    ],
    [
      "a person may let it go without",
      look({
        ...done,
        ...backup(wantsDeletion),
        status: done.status,
        metadata: { ...done.metadata, ...deleted, ...held, annotations: { [forceDelete]: "true" } },
      }),
      "removeFinalizer",
    ],
    [
      "but not by saying false",
      look({
        ...done,
        ...backup(wantsDeletion),
        status: done.status,
        metadata: { ...done.metadata, ...deleted, ...held, annotations: { [forceDelete]: "false" } },
      }),
      "recordDeleting",
    ],
  ];
  for (const [what, decision, expected] of table) it(what, () => assert.equal(decision.do, expected));

  it("gives the event of a failure the reason of its last attempt", () => {
    const last = { ...begun, status: { ...begun.status, attempts: 4 } };
    const decision = look(last, { run: hasFailed(broken) });
    assert.partialDeepStrictEqual(decision, {
      do: "fail",
      reason: "BackoffLimitExceeded",
      eventReason: "SnapshotFailed",
    });
    const stopped = look(last, { stored: { state: "absent" } });
    assert.deepEqual("eventReason" in stopped, false);
  });

  it("records a wait as an event only where a person may have to act", () => {
    const waits = [
      look(seen, { freeSlots: 0 }),
      look(retry),
      look(seen, { store: "missing" }),
      look(begun, { stored: { state: "unknown", error: silent } }),
    ];
    assert.deepEqual(
      waits.map((decision) => decision.do === "wait" && decision.warn),
      [false, false, true, true],
    );
  });

  it("succeeds with the backup that the run or the store has", () => {
    for (const over of [{ run: hasSucceeded }, { stored: { state: "found", backup: stored } as const }])
      assert.deepEqual(look(begun, over), { do: "succeed", stored });
  });
});

it("a run's identity is its resource's and its attempt's", () => {
  assert.equal(runIdOf(seen.metadata.uid, 2), "0f1e2d3c4b5ax2");
  assert.ok(runIdOf(seen.metadata.uid, 2).startsWith(runPrefix(seen.metadata.uid)));
});

it("a success shows etcdutl's unpadded hash, readable sizes and where it lies", () => {
  const { snapshot, artifact, duration } = done.status;
  assert.equal(snapshot?.hash, "c36cdb");
  assert.equal(snapshot?.size, "20 kB");
  assert.equal(duration, "5.0s");
  assert.equal(artifact?.url, "s3://bucket/prod/20260820T120000Z-0f1e2d3c4b5ax1.db.zst");
  assert.equal(artifact?.manifestURL, `s3://bucket/prod/${record.name}.json`);
});
