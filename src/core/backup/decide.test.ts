import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import {
  type BackupDecision,
  type ObservedBackup,
  afterFailure,
  decide,
  finalizer,
  forceDelete,
  reasonOf,
  runIdOf,
  runPrefix,
  whileUnknown,
} from "./decide.ts";
import {
  type BackupRecord,
  changed,
  failed,
  initialised,
  interrupted,
  restamped,
  retrying,
  started,
  succeeded,
} from "./status.ts";
import { conditionStatus } from "../conditions.ts";
import { type ErrorCode, OperatorError } from "../errors.ts";

const now = new Date("2026-08-20T12:00:00Z");
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);

function backup(
  over: {
    spec?: Partial<EtcdBackup["spec"]>;
    metadata?: Partial<EtcdBackup["metadata"]>;
    status?: EtcdBackupStatus;
  } = {},
): EtcdBackup {
  return {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdBackup",
    metadata: {
      name: "b",
      namespace: "ns",
      uid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: now.toISOString(),
      ...over.metadata,
    },
    spec: {
      clusterName: "prod",
      storeRef: { name: "s" },
      etcd: {
        endpoints: ["http://e:2379"],
        memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
      },
      compression: "Zstd",
      verification: { readBack: false, hashKV: "WhenAvailable" },
      deletionPolicy: "Retain",
      timeoutSeconds: 3600,
      backoffLimit: 3,
      ...over.spec,
    },
    status: over.status ?? { observedGeneration: -1 },
  };
}

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

const seen = backup({ status: initialised(backup(), now) });
const begun = { ...seen, status: started(seen, { attempt: 1, runId: "r" }, now) };
const broken = new OperatorError("Unreachable", "connection refused");
const unsure = new OperatorError("Unreachable", "connection reset", { outcomeUnknown: true });
const done = { ...begun, status: succeeded(begun, record, "s3://bucket", later(5)) };

function look(b: EtcdBackup, over: Partial<ObservedBackup> = {}, at = now): BackupDecision {
  return decide({ backup: b, store: "found", run: "none", freeSlots: 1, ...over }, at);
}

describe("decide", () => {
  const deleted = { deletionTimestamp: now.toISOString() };
  const held = { finalizers: [finalizer] };
  const wantsDeletion = { spec: { deletionPolicy: "Delete" as const } };
  const retry = { ...begun, status: retrying(begun, { do: "retry", at: later(10), error: broken }, now) };

  const table: [string, BackupDecision, BackupDecision["do"]][] = [
    ["a fresh object is given its first conditions", look(backup()), "initialise"],
    ["one that was seen starts", look(seen), "start"],
    ["no slot is free: it waits", look(seen, { freeSlots: 0 }), "wait"],
    ["the store's resource is not there yet: it waits", look(seen, { store: "missing" }), "wait"],
    ["nothing is written to a ReadOnly store", look(seen, { store: "readOnly" }), "fail"],
    [
      "deletionPolicy Delete takes a finalizer before anything is stored",
      look({ ...seen, spec: { ...seen.spec, deletionPolicy: "Delete" } }),
      "addFinalizer",
    ],
    ["a run is watched", look(begun, { run: "running" }), "watch"],
    [
      "a run is cancelled when its store turns ReadOnly",
      look(begun, { run: "running", store: "readOnly" }),
      "cancel",
    ],
    [
      "an attempt whose status write was lost starts as the same attempt",
      look(begun, { run: "reserved", attempt: 1 }),
      "start",
    ],
    [
      "but gives its slot back when the store is gone meanwhile",
      look(begun, { run: "reserved", attempt: 1, store: "missing" }),
      "cancel",
    ],
    ["or has become ReadOnly", look(begun, { run: "reserved", attempt: 1, store: "readOnly" }), "cancel"],
    ["an attempt without a run was an earlier operator's", look(begun), "recover"],
    [
      "what an earlier operator finished is looked for in a ReadOnly store, too",
      look(begun, { store: "readOnly" }),
      "recover",
    ],
    ["a run that ended well is recorded", look(begun, { run: "succeeded" }), "succeed"],
    ["a run that failed is tried again", look(begun, { run: "failed", failure: broken }), "retry"],
    [
      "a run that failed for good is not",
      look(begun, { run: "failed", failure: new OperatorError("MembersDisagree", "x", { permanent: true }) }),
      "fail",
    ],
    [
      "what a run that failed may have stored is looked for first",
      look(begun, { run: "failed", failure: unsure }),
      "recover",
    ],
    [
      "and waits until there is a store to look into",
      look(begun, { run: "failed", failure: unsure, store: "missing" }),
      "wait",
    ],
    ["the next attempt waits for its time", look(retry), "wait"],
    ["and starts then", look(retry, {}, later(10)), "start"],
    ["but not after the deadline", look(retry, {}, later(3600)), "fail"],
    [
      "a store that never comes back ends it at the deadline",
      look(retry, { store: "missing" }, later(3600)),
      "fail",
    ],
    ["what has ended is left alone", look(done), "nothing"],
    ["even while a run of its is known", look(done, { run: "succeeded" }), "nothing"],
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
    ["deletion ends the run first", look(backup({ metadata: deleted }), { run: "running" }), "cancel"],
    [
      "Retain lets the object go",
      look({ ...done, metadata: { ...done.metadata, ...deleted, ...held } }),
      "removeFinalizer",
    ],
    [
      "Delete removes what was stored",
      look({
        ...done,
        ...backup(wantsDeletion),
        status: done.status,
        metadata: { ...done.metadata, ...deleted, ...held },
      }),
      "removeObjects",
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
      "removeObjects",
    ],
  ];
  for (const [what, decision, expected] of table) it(what, () => assert.equal(decision.do, expected));

  it("doubles the delay between attempts, up to six minutes", () => {
    const delays = [1, 2, 3, 7].map((attempts) => {
      const decision = afterFailure(
        { ...begun, spec: { ...begun.spec, backoffLimit: 10 }, status: { ...begun.status, attempts } },
        broken,
        now,
      );
      return decision.do === "retry" ? (decision.at.getTime() - now.getTime()) / 1000 : decision.do;
    });
    assert.deepEqual(delays, [10, 20, 40, 360]);
  });

  it("gives up after backoffLimit more attempts, and tells of the last", () => {
    const decision = afterFailure({ ...begun, status: { ...begun.status, attempts: 4 } }, broken, now);
    assert.deepEqual(decision, {
      do: "fail",
      reason: "BackoffLimitExceeded",
      message: "4 attempts failed; the last: connection refused",
    });
  });
});

describe("afterFailure", () => {
  const after = (error: OperatorError, seconds: number, attempts = 1) =>
    afterFailure({ ...begun, status: { ...begun.status, attempts } }, error, later(seconds));

  it("ends at once what trying again cannot mend, with the hint", () => {
    const error = new OperatorError("InvalidConfiguration", "ca.crt is no certificate", { hint: "mend it" });
    assert.deepEqual(after(error, 1), {
      do: "fail",
      reason: "InvalidConfiguration",
      message: "ca.crt is no certificate (mend it)",
    });
  });

  it("says that the time is up, and what failed last", () => {
    assert.deepEqual(after(broken, 3600), {
      do: "fail",
      reason: "TimedOut",
      message: "not finished within 3600 s; the last: connection refused",
    });
  });

  it("plans no attempt for the deadline or later", () => {
    assert.equal(after(broken, 3589).do, "retry");
    assert.deepEqual(after(broken, 3590), {
      do: "fail",
      reason: "TimedOut",
      message: "no time is left for another attempt within 3600 s; the last: connection refused",
    });
  });

  it("speaks of one attempt where no other is allowed", () => {
    const once = { ...begun, spec: { ...begun.spec, backoffLimit: 0 } };
    assert.deepEqual(afterFailure(once, broken, now), {
      do: "fail",
      reason: "BackoffLimitExceeded",
      message: "1 attempt failed; the last: connection refused",
    });
  });
});

describe("whileUnknown", () => {
  it("with a start time that no clock writes, the wait is one of seconds and not without end", () => {
    const odd = backup({
      status: { observedGeneration: 1, attempts: 1, startTime: "2026-08-20T12:00:00+99:99" },
    });
    const decision = whileUnknown(odd, new OperatorError("Unreachable", "no answer"), now);
    assert.ok(decision.do === "wait" && decision.ms > 0, JSON.stringify(decision));
  });

  const message =
    "the operator stopped in the middle of attempt 1; what it stored cannot be looked for: connection refused";

  it("waits for the store's answer, at most until the deadline", () => {
    const wait = { do: "wait", reason: "OperatorRestarted", message };
    assert.deepEqual(whileUnknown(begun, broken, now), { ...wait, ms: 10_000 });
    assert.deepEqual(whileUnknown(begun, broken, later(3597)), { ...wait, ms: 3000 });
  });

  it("gives up at the deadline, and when no answer can come", () => {
    assert.deepEqual(whileUnknown(begun, broken, later(3600)), {
      do: "fail",
      reason: "TimedOut",
      message: `not finished within 3600 s; the last: ${message}`,
    });
    const noBucket = new OperatorError("NotFound", "bucket b does not exist");
    const found = whileUnknown(begun, noBucket, now);
    assert.deepEqual([found.do, found.reason], ["fail", "StoreNotReady"]);
  });
});

describe("reasonOf", () => {
  const reasons: Record<ErrorCode, string> = {
    Usage: "InvalidConfiguration",
    InvalidConfiguration: "InvalidConfiguration",
    NotFound: "StoreNotReady",
    CredentialsNotFound: "CredentialsNotFound",
    AlreadyExists: "UploadFailed",
    Conflict: "SnapshotFailed",
    Refused: "InvalidConfiguration",
    NoUsableMember: "NoUsableMember",
    MembersDisagree: "MembersDisagree",
    Unauthorized: "Unauthorized",
    Unreachable: "SnapshotFailed",
    Timeout: "TimedOut",
    SnapshotFailed: "SnapshotFailed",
    StoreFailed: "UploadFailed",
    VerificationFailed: "VerificationFailed",
    Aborted: "OperatorRestarted",
    Internal: "InternalError",
  };
  for (const [code, reason] of Object.entries(reasons)) {
    it(`shows ${code} as ${reason}`, () => {
      assert.equal(reasonOf(new OperatorError(code as ErrorCode, "m")), reason);
    });
  }
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

/** What can happen to an operator between two looks. */
type Incident =
  | "fails"
  | "failsForGood"
  | "succeeds"
  | "crashesBeforeManifest"
  | "crashesAfterManifest"
  | "statusWriteLost"
  | "stopsInOrder";

const incident = fc.constantFrom<Incident>(
  "fails",
  "failsForGood",
  "succeeds",
  "crashesBeforeManifest",
  "crashesAfterManifest",
  "statusWriteLost",
  "stopsInOrder",
);

/** Acts on decisions as the controller does, in a world whose operator dies as told. */
function live(
  incidents: Incident[],
  backoffLimit: number,
): { end: EtcdBackup; stored: boolean; begun: number } {
  let b = backup({ spec: { backoffLimit } });
  let run: ObservedBackup["run"] = "none";
  let attempt = 0;
  let failure = broken;
  let stored = false;
  let clock = now;
  let charged = 0;
  for (let step = 0; step < 200; step += 1) {
    clock = new Date(clock.getTime() + 1000);
    const decision = decide({ backup: b, store: "found", run, attempt, failure, freeSlots: 1 }, clock);
    switch (decision.do) {
      case "initialise":
        b = { ...b, status: initialised(b, clock) };
        break;
      case "start": {
        attempt = decision.attempt;
        const next = incidents.shift() ?? "succeeds";
        if (next === "statusWriteLost") {
          run = "reserved";
          break;
        }
        b = { ...b, status: started(b, { attempt, runId: runIdOf(b.metadata.uid, attempt) }, clock) };
        charged = Math.max(charged, attempt);
        run =
          next === "succeeds" ? "succeeded" : next === "fails" || next === "failsForGood" ? "failed" : "none";
        failure = next === "failsForGood" ? new OperatorError("VerificationFailed", "x") : broken;
        stored ||= next === "succeeds" || next === "crashesAfterManifest";
        if (next === "stopsInOrder") b = { ...b, status: interrupted(b, { counts: false, now: clock }) };
        break;
      }
      case "recover":
        if (stored) b = { ...b, status: succeeded(b, record, "file:///x", clock) };
        else {
          const next = afterFailure(b, new OperatorError("Aborted", "stopped"), clock);
          b = {
            ...b,
            status:
              next.do === "fail" ? failed(b, next, clock) : interrupted(b, { counts: true, now: clock }),
          };
        }
        break;
      case "succeed":
        b = { ...b, status: succeeded(b, record, "file:///x", clock) };
        run = "none";
        break;
      case "retry":
        b = { ...b, status: retrying(b, decision, clock) };
        run = "none";
        break;
      case "fail":
        b = { ...b, status: failed(b, decision, clock) };
        run = "none";
        break;
      case "wait":
        b = {
          ...b,
          status: changed(
            b,
            { outcome: "InProgress", reason: decision.reason, message: decision.message },
            clock,
          ),
        };
        clock = new Date(clock.getTime() + decision.ms);
        break;
      case "restamp":
        b = { ...b, status: restamped(b) };
        break;
      case "nothing":
        return { end: b, stored, begun: charged };
      default:
        assert.fail(`${decision.do} was not to be expected`);
    }
  }
  return assert.fail("it never ended");
}

it("whatever happens to its operators, a backup ends, truthfully, within its attempts", () => {
  fc.assert(
    fc.property(fc.array(incident, { maxLength: 12 }), fc.nat(4), (incidents, backoffLimit) => {
      const { end, stored, begun: attempts } = live([...incidents], backoffLimit);
      assert.equal(conditionStatus(end.status.conditions, "Finished"), "True");
      assert.ok(attempts <= backoffLimit + 1, `${attempts} attempts`);
      assert.equal(conditionStatus(end.status.conditions, "Succeeded"), stored ? "True" : "False");
      assert.equal(conditionStatus(end.status.conditions, "Stalled"), stored ? "False" : "True");
      assert.equal(conditionStatus(end.status.conditions, "Reconciling"), "False");
    }),
    { numRuns: 500 },
  );
});
