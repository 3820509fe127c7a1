import assert from "node:assert/strict";
import { test } from "node:test";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import {
  type BackupRecord,
  changed,
  deleting,
  deletionBlocked,
  failed,
  initialized,
  interrupted,
  memberSelected,
  restamped,
  retrying,
  started,
  streaming,
  succeeded,
  verified,
} from "./status.ts";
import { OperatorError } from "../errors.ts";
import { backupOf } from "./backup.fixture.ts";
import type { MemberFacts } from "../etcd/member-choice.ts";

const now = new Date("2026-08-20T12:00:00.700Z");
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);

function backup(status: EtcdBackupStatus, generation = 1): EtcdBackup {
  const metadata = { generation, creationTimestamp: "2026-08-20T12:00:00Z" };
  return backupOf({ spec: { deletionPolicy: "Delete" }, metadata, status });
}

const member: MemberFacts = {
  endpoint: "https://etcd-1:2379",
  id: "8e9e05c52164694d",
  name: "etcd-1",
  version: "3.6.16",
  dbSize: 40_960,
  dbSizeInUse: 20_480,
  isLeader: false,
  isLearner: false,
  leader: "1",
  raftTerm: 2,
  raftIndex: 10,
  raftAppliedIndex: 8,
  lag: 2,
  revision: 42,
  alarms: [],
};
const { endpoint, id, name, version, isLeader, lag } = member;
const shownMember = { endpoint, id, name, version, isLeader, lag, reason: "follower, lag 2" };

const record: BackupRecord = {
  name: "20260820T120000Z-r00000000000000000042-0f1e2d3c4b5ax1",
  cluster: { id: "cafe" },
  run: { id: "0f1e2d3c4b5ax1", startedAt: "2026-08-20T12:00:00Z", completedAt: "2026-08-20T12:00:05Z" },
  member: shownMember,
  snapshot: {
    revision: 42,
    hash: "00c36cdb",
    totalKeys: 3,
    pairs: 9,
    liveKeys: 3,
    totalSizeBytes: 2_097_152,
    sha256: "ab",
    withoutQuorum: false,
  },
  stored: {
    object: "prod/20260820T120000Z-0f1e2d3c4b5ax1.db.zst",
    bytes: 900,
    crc32c: "00000001",
    compression: "Zstd",
    proof: "FullObjectCRC32C",
  },
};

const pending = backup(initialized(backup({ observedGeneration: -1 }), now));
const begun = backup(started(pending, { attempt: 1, runId: "0f1e2d3c4b5ax1" }, now));
const selected = backup(
  memberSelected(
    begun,
    { chosen: member, reason: "follower, lag 2", withoutQuorum: false, refusals: [] },
    now,
  ),
);
const half = backup(streaming(selected, { bytes: 1_000_000, totalBytes: 2_097_152 }, now));
const planned = backup(
  retrying(
    half,
    { do: "retry", at: later(10), error: new OperatorError("Unreachable", "no answer", { hint: "look" }) },
    now,
  ),
);
const store = { url: "s3://backups/etcd", location: "s3://backups/etcd?endpoint=https://s3:9000" };
const done = backup(succeeded(half, record, store, later(12.44)));

/** Status, reason and message of Succeeded, which `kubectl get` shows. */
function succeededOf({ conditions }: EtcdBackupStatus): unknown[] {
  const condition = conditions?.find((c) => c.type === "Succeeded");
  return [condition?.status, condition?.reason, condition?.message];
}

test("each step of a run has its own reason and message", () => {
  for (const [status, expected] of [
    [pending.status, ["Unknown", "Pending", "the operator starts the backup when a slot is free"]],
    [begun.status, ["Unknown", "Connecting", "the operator is asking the members for their status"]],
    [
      selected.status,
      ["Unknown", "MemberSelected", "the operator takes the snapshot from etcd-1: follower, lag 2"],
    ],
    [half.status, ["Unknown", "Streaming", "the operator has read 1.0 MB of 2.1 MB"]],
    [
      streaming(half, { bytes: 2_097_152, totalBytes: 2_097_152 }, now),
      [
        "Unknown",
        "Verifying",
        "the operator has read the whole snapshot and is verifying what the store holds",
      ],
    ],
    [
      planned.status,
      [
        "Unknown",
        "Retrying",
        "attempt 1 failed: no answer (look); the next attempt starts at 2026-08-20T12:00:10Z",
      ],
    ],
    [done.status, ["True", "Succeeded", "the store holds a verified backup of revision 42, 2.1 MB"]],
  ] as const) {
    assert.deepEqual(succeededOf(status), expected);
  }
});

test("a status and its conditions carry the observed generation", () => {
  const status = changed(
    backup({ observedGeneration: 1 }, 7),
    { outcome: "InProgress", reason: "Pending", message: "m" },
    now,
  );
  assert.equal(status.observedGeneration, 7);
  assert.deepEqual(new Set(status.conditions?.map((c) => c.observedGeneration)), new Set([7]));
});

test("a started attempt is counted, and clears the next attempt time, member and progress of the last one", () => {
  const { attempts, runID, startTime, ...status } = started(planned, { attempt: 2, runId: "x2" }, later(11));
  assert.deepEqual([attempts, runID, startTime], [2, "x2", "2026-08-20T12:00:00Z"]);
  assert.deepEqual(succeededOf(status), [
    "Unknown",
    "Connecting",
    "attempt 2: the operator is asking the members for their status",
  ]);
  for (const field of ["nextAttemptTime", "progress", "member"]) assert.equal(field in status, false, field);
});

test("the status of a running attempt has the chosen member and the progress", () => {
  assert.deepEqual(half.status.member, shownMember);
  assert.deepEqual(half.status.progress, { bytes: 1_000_000, totalBytes: 2_097_152 });
});

test("a planned attempt has a time, does not count yet and has no progress", () => {
  assert.equal(planned.status.nextAttemptTime, "2026-08-20T12:00:10Z");
  assert.equal(planned.status.attempts, 1);
  assert.equal("progress" in planned.status, false);
});

for (const [counts, attempts] of [
  [true, 1],
  [false, 0],
] as const) {
  test(`an attempt interrupted by ${counts ? "a crash counts" : "an orderly stop does not count"}, and the next may start at once`, () => {
    const status = interrupted(half, { counts, now: later(5) });
    assert.deepEqual([status.attempts, status.nextAttemptTime], [attempts, "2026-08-20T12:00:05Z"]);
    assert.equal(succeededOf(status)[1], "OperatorRestarted");
    assert.equal("progress" in status, false);
  });
}

test("a failure ends the run, plans no attempt and keeps the member", () => {
  const status = failed(half, { do: "fail", reason: "SnapshotFailed", message: "it broke off" }, later(200));
  assert.deepEqual(succeededOf(status), ["False", "SnapshotFailed", "it broke off"]);
  assert.deepEqual([status.completionTime, status.duration], ["2026-08-20T12:03:20Z", "3m 20s"]);
  assert.deepEqual(status.member, shownMember);
  for (const field of ["nextAttemptTime", "progress", "artifact"])
    assert.equal(field in status, false, field);
});

test("a backup that fails before its first attempt has the duration 0", () => {
  const status = failed(pending, { do: "fail", reason: "StoreNotReady", message: "m" }, later(60));
  assert.equal(status.duration, "0ms");
});

test("a clock that was set back gives no negative duration", () => {
  const status = failed(begun, { do: "fail", reason: "TimedOut", message: "m" }, later(-60));
  assert.equal(status.duration, "0ms");
});

test("a success has the snapshot, the member and the stored objects", () => {
  const { snapshot, artifact, member: from, runID, duration } = done.status;
  assert.deepEqual(snapshot, {
    revision: 42,
    hash: "c36cdb",
    totalKeys: 3,
    pairs: 9,
    liveKeys: 3,
    totalSizeBytes: 2_097_152,
    size: "2.1 MB",
    sha256: "ab",
    etcdVersion: "3.6.16",
    clusterID: "cafe",
  });
  assert.deepEqual(artifact, {
    name: record.name,
    storeURL: "s3://backups/etcd?endpoint=https://s3:9000",
    url: "s3://backups/etcd/prod/20260820T120000Z-0f1e2d3c4b5ax1.db.zst",
    manifestURL: `s3://backups/etcd/prod/${record.name}.json`,
    storedBytes: 900,
    compression: "Zstd",
    crc32c: "00000001",
    proof: "FullObjectCRC32C",
  });
  assert.deepEqual([from, runID, duration], [shownMember, "0f1e2d3c4b5ax1", "5.0s"]);
  for (const field of ["nextAttemptTime", "progress", "hashKV"])
    assert.equal(field in done.status, false, field);
});

test("a recovered backup has the times of its manifest, whatever the status said of its start", () => {
  const run = { ...record.run, startedAt: "2026-08-20T12:00:00.250Z", completedAt: "2026-08-20T12:00:30.5Z" };
  const weekLater = later(7 * 86_400);
  for (const [startTime, expected] of [
    [undefined, ["2026-08-20T12:00:00Z", "2026-08-20T12:00:30Z", "30.5s"]],
    ["2026-08-20T11:59:00Z", ["2026-08-20T11:59:00Z", "2026-08-20T12:00:30Z", "1m 30s"]],
    ["2026-08-27T11:00:00Z", ["2026-08-20T12:00:00Z", "2026-08-20T12:00:30Z", "30.5s"]],
  ] as const) {
    const { startTime: _, ...rest } = half.status;
    const recovered = backup(startTime === undefined ? rest : { ...rest, startTime });
    const status = succeeded(recovered, { ...record, run }, store, weekLater);
    assert.deepEqual([status.startTime, status.completionTime, status.duration], expected);
  }
});

test("a manifest by a clock that is ahead completes now, not in the future", () => {
  const run = { ...record.run, completedAt: "2027-01-01T00:00:00Z" };
  assert.equal(succeeded(half, { ...record, run }, store, later(9)).completionTime, "2026-08-20T12:00:09Z");
});

test("a success without quorum says so in its message, and has HashKV if it was compared", () => {
  const hashKV = { revision: 42, hash: 7, compactRevision: -1, membersCompared: ["etcd-1", "etcd-2"] };
  const quorumLost = { ...record, snapshot: { ...record.snapshot, withoutQuorum: true }, hashKV };
  const status = succeeded(half, quorumLost, store, now);
  assert.equal(
    succeededOf(status)[2],
    "the store holds a verified backup of revision 42, 2.1 MB; it was taken without quorum, so the last writes may be missing",
  );
  assert.equal(status.snapshot?.withoutQuorum, true);
  assert.deepEqual(status.hashKV, hashKV);
});

test("a changed deletionPolicy changes only the observed generations", () => {
  const status = restamped(backup(done.status, 2));
  const generations = [
    status.observedGeneration,
    ...(status.conditions ?? []).map((c) => c.observedGeneration),
  ];
  assert.deepEqual(new Set(generations), new Set([2]));
  assert.deepEqual(restamped(backup(status, 1)), done.status);
});

test("a deletion, blocked or not, keeps the outcome of the backup", () => {
  const table = ({ conditions }: EtcdBackupStatus) =>
    Object.fromEntries((conditions ?? []).map((c) => [c.type, `${c.status} ${c.reason}`]));
  const removing = deleting(done, later(60));
  const blocked = deletionBlocked(backup(removing), "503", later(61));
  const stays = { Finished: "True Succeeded", Succeeded: "True Succeeded", Ready: "True Succeeded" };
  assert.deepEqual(table(removing), { ...stays, Reconciling: "True Deleting", Stalled: "False Succeeded" });
  assert.deepEqual(table(blocked), {
    ...stays,
    Reconciling: "True DeletionBlocked",
    Stalled: "True DeletionBlocked",
  });
  assert.deepEqual({ ...blocked, conditions: [] }, { ...done.status, conditions: [] });
});

test("a verification of the stored backup has a condition of its own, and changes no other", () => {
  const done = backup(
    changed(pending, { outcome: "Succeeded", reason: "Succeeded", message: "stored" }, now),
  );
  const damaged = verified(done, { at: later(60), problem: "stored size" }, later(61));
  const [verdict, ...others] = damaged.conditions?.toReversed() ?? [];
  assert.deepEqual(others.toReversed(), done.status.conditions);
  assert.deepEqual(
    [verdict?.type, verdict?.status, verdict?.reason, verdict?.message],
    [
      "Verified",
      "False",
      "VerificationFailed",
      "the stored backup failed its verification at 2026-08-20T12:01:00Z: stored size",
    ],
  );
  const repaired = verified(backup(damaged), { at: later(120), problem: undefined }, later(121));
  assert.deepEqual(repaired.conditions?.map(({ type, status }) => [type, status]).at(-1), [
    "Verified",
    "True",
  ]);
});
