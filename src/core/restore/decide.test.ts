import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { type ErrorCode, OperatorError } from "../errors.ts";
import { began, restoreOf, restoredSource } from "./restore.fixture.ts";
import {
  type RestoreDecision,
  afterRestoreFailure,
  afterUnrecordedEnd,
  decideRestore,
  recordAttempts,
} from "./decide.ts";
import type {
  ObservedJob,
  ObservedRestore,
  ObservedWork,
  RestoreResult,
  RestoredMember,
} from "./observed.ts";
import {
  clusterRunning,
  endNotRecorded,
  endRecorded,
  membersRestored,
  membersSeen,
  restoreFailed,
  restoreInitialized,
  restoreRetrying,
  restoreSucceeded,
  verified,
  workBegun,
} from "./status.ts";

const at = (seconds: number) => new Date(began.getTime() + seconds * 1000);
const token = "restored-2026-08-20-0123";
const proof = { clusterID: "1", revision: 1, hashKV: 1, members: ["back-0"], keys: 900 };
const good: RestoreResult = { step: "verify", found: { is: "good", source: restoredSource } };
const proved: RestoreResult = { step: "prove", verification: proof };
const running: ObservedWork = { state: "running", report: { step: "verify" } };
const ended = (result: RestoreResult): ObservedWork => ({
  state: "succeeded",
  report: { step: result.step },
  result,
});
const gone = { exists: "none", readyMembers: 0 } as const;

/** The EtcdRestore at the beginning of a step, with the statuses that the operator writes. */
type Step = "verify" | "restore" | "start" | "prove" | "succeeded" | "over";
function atStep(step: Step, restore: EtcdRestore = restoreOf()): EtcdRestore {
  const then = (from: EtcdRestore, status: EtcdRestoreStatus): EtcdRestore => ({ ...from, status });
  const fresh = then(restore, restoreInitialized(restore, began));
  if (step === "verify") return fresh;
  const checked = then(fresh, verified(fresh, { source: restoredSource, token }, began));
  if (step === "restore") return checked;
  const filled = then(checked, membersRestored(checked, members("succeeded"), began));
  if (step === "start") return filled;
  const started = then(filled, clusterRunning(filled, began));
  if (step === "prove") return started;
  const succeeded = then(started, restoreSucceeded(started, proof, began));
  return step === "succeeded" ? succeeded : then(succeeded, endRecorded(succeeded));
}

function members(...states: ("none" | "running" | "succeeded")[]): RestoredMember[] {
  return [0, 1, 2].map((index): RestoredMember => {
    const state = states[index] ?? states[0] ?? "none";
    return { index, volume: "ours", job: state === "none" ? { state } : { state, attempt: 1 } };
  });
}

function observed(restore: EtcdRestore, over: Partial<ObservedRestore> = {}): ObservedRestore {
  const slot = { freeSlots: 1, place: 3 };
  return { restore, work: { state: "none" }, members: members("none"), cluster: gone, ...slot, ...over };
}

describe("decideRestore", () => {
  it("looks again at its deadline when no slot becomes free", () => {
    const input = observed(atStep("verify"), { freeSlots: 0 });
    assert.partialDeepStrictEqual(decideRestore(input, at(3590)), { do: "wait", ms: 10_000 });
    assert.partialDeepStrictEqual(decideRestore(input, at(3600)), { do: "fail", reason: "TimedOut" });
  });

  const failed = { state: "failed", attempt: 1, failure: "fetch: no", permanent: false } as const;
  const withJob = (job: ObservedJob, volume: RestoredMember["volume"] = "ours"): RestoredMember[] => [
    ...members("succeeded").slice(0, 2),
    { index: 2, volume, job },
  ];
  const rows: [name: string, observed: ObservedRestore, expected: Partial<RestoreDecision>][] = [
    ["a new EtcdRestore", observed(restoreOf()), { do: "initialize" }],
    ["a pending restore", observed(atStep("verify")), { do: "verify" }],
    ...(["verify", "prove"] as const).map((step): [string, ObservedRestore, Partial<RestoreDecision>] => [
      `no slot is free to ${step}`,
      observed(atStep(step), { freeSlots: 0 }),
      {
        do: "wait",
        ms: 600_000,
        reason: "Pending",
        message:
          "the operator waits for a free slot: place 3; it works on a limited number of restores at once",
        forSlot: true,
      },
    ]),
    [
      "no slot is free for the next step, and the end of the last is still known",
      observed(atStep("prove"), { freeSlots: 0, work: ended(good) }),
      { do: "wait", forSlot: true },
    ],
    [
      "no slot is free while the members start",
      observed(atStep("restore"), { freeSlots: 0, members: members("running") }),
      { do: "wait", reason: "RestoringMembers" },
    ],
    ["the backup is being read", observed(atStep("verify"), { work: running }), { do: "reportProgress" }],
    [
      "the backup is verified",
      observed(atStep("verify"), { work: ended(good) }),
      { do: "recordVerified", source: restoredSource },
    ],
    [
      "the store records that it has ended",
      observed(atStep("verify"), {
        work: ended({ step: "verify", found: { is: "restoredBefore", completedAt: "then" } }),
      }),
      { do: "recordRestoredBefore", completedAt: "then" },
    ],
    [
      "the volumes are too small",
      observed(atStep("verify"), {
        work: ended({ step: "verify", found: { is: "refused", reason: "StorageTooSmall", message: "m" } }),
      }),
      { do: "fail", reason: "StorageTooSmall", message: "m" },
    ],
    [
      "the backup is verified and no volume exists",
      observed(atStep("restore"), {
        members: [0, 1, 2].map((index) => ({ index, volume: "missing", job: { state: "none" } })),
      }),
      { do: "restoreMembers", volumes: [0, 1, 2], jobs: [0, 1, 2].map((index) => ({ index, attempt: 1 })) },
    ],
    [
      "an operator was killed between the volumes and the Jobs",
      observed(atStep("restore"), { members: members("succeeded", "none", "none") }),
      {
        do: "restoreMembers",
        volumes: [],
        jobs: [
          { index: 1, attempt: 1 },
          { index: 2, attempt: 1 },
        ],
      },
    ],
    [
      "two of three volumes hold the data",
      observed(atStep("restore"), { members: members("succeeded", "succeeded", "running") }),
      { do: "wait", reason: "RestoringMembers", message: "2 of 3 volumes hold the data" },
    ],
    [
      "a Job's Pod has no node",
      observed(atStep("restore"), {
        members: withJob({ state: "running", attempt: 1, waitsFor: "p: no node" }),
      }),
      { do: "wait", message: "2 of 3 volumes hold the data; p: no node" },
    ],
    [
      "a Job has failed",
      observed(atStep("restore"), { members: withJob(failed) }),
      { do: "retry", at: at(10), reason: "Retrying", message: "member back-2: fetch: no" },
    ],
    [
      "the delay after a failed Job is over",
      observed(retried(atStep("restore")), { members: withJob(failed) }),
      { do: "restoreMembers", volumes: [], jobs: [{ index: 2, attempt: 2 }] },
    ],
    [
      "the last Job of backoffLimit has failed",
      observed(atStep("restore"), { members: withJob({ ...failed, attempt: 3 }) }),
      {
        do: "fail",
        reason: "MemberFailed",
        message: "member back-2: 3 attempts failed; the last error: fetch: no",
      },
    ],
    [
      "a Job has failed permanently",
      observed(atStep("restore"), { members: withJob({ ...failed, permanent: true }) }),
      { do: "fail", reason: "MemberFailed", message: "member back-2: fetch: no" },
    ],
    [
      "a volume of that name has another owner",
      observed(atStep("restore"), { members: withJob({ state: "none" }, "foreign") }),
      { do: "fail", reason: "TargetExists" },
    ],
    [
      "a Job of that name has another owner",
      observed(atStep("restore"), { members: withJob({ state: "foreign", name: "j" }) }),
      { do: "fail", reason: "TargetExists" },
    ],
    [
      "every volume holds the data",
      observed(atStep("restore"), { members: members("succeeded") }),
      { do: "recordRestored" },
    ],
    ["the restored volumes are recorded", observed(atStep("start")), { do: "createCluster" }],
    [
      "a StatefulSet of that name has another owner",
      observed(atStep("start"), {
        cluster: { exists: "foreign", what: "StatefulSet back", readyMembers: 3 },
      }),
      { do: "fail", reason: "TargetExists" },
    ],
    [
      "two of three members are ready",
      observed(atStep("start"), { cluster: { exists: "ours", readyMembers: 2 } }),
      { do: "wait", reason: "StartingCluster", message: "2 of 3 members are ready" },
    ],
    [
      "every member is ready",
      observed(atStep("start"), { cluster: { exists: "ours", readyMembers: 3 } }),
      { do: "recordRunning" },
    ],
    ["the running cluster is recorded", observed(atStep("prove")), { do: "prove" }],
    [
      "the run of the backup's verification is still registered",
      observed(atStep("prove"), { work: ended(good) }),
      { do: "prove" },
    ],
    [
      "the cluster is verified",
      observed(atStep("prove"), { work: ended(proved) }),
      { do: "succeed", verification: proof },
    ],
    ["the restore has succeeded", observed(atStep("succeeded")), { do: "recordEnd" }],
    ["the restore has ended", observed(atStep("over"), { work: ended(proved) }), { do: "nothing" }],
  ];
  for (const [name, input, expected] of rows)
    it(`${name}: ${expected.do}`, () => {
      assert.partialDeepStrictEqual(decideRestore(input, at(5)), expected);
    });

  function retried(restore: EtcdRestore): EtcdRestore {
    const decision = { at: at(5), reason: "Retrying", message: "member back-2: fetch: no" } as const;
    return { ...restore, status: restoreRetrying(restore, decision, began) };
  }

  it("waits until the next attempt is due, with the reason of the last one", () => {
    const restore = retried(atStep("restore"));
    const decision = decideRestore(observed(restore, { members: withJob(failed) }), at(1));
    assert.partialDeepStrictEqual(decision, { do: "wait", ms: 4_000, reason: "Retrying" });
  });

  it("cancels the work of a deleted EtcdRestore at every step, and then needs nothing", () => {
    const metadata = { deletionTimestamp: began.toISOString() };
    for (const step of ["verify", "restore", "start", "prove", "over"] as const) {
      const restore = atStep(step, restoreOf({ metadata }));
      assert.deepEqual(decideRestore(observed(restore), at(1)), { do: "nothing" });
      const working = observed(restore, { work: running });
      assert.deepEqual(decideRestore(working, at(1)), { do: "cancel" });
    }
  });

  it("cancels the work at the deadline, and then fails with the last message", () => {
    for (const step of ["verify", "restore", "start", "prove"] as const) {
      const restore = atStep(step);
      assert.deepEqual(decideRestore(observed(restore, { work: running }), at(3600)), {
        do: "cancel",
      });
      const decision = decideRestore(observed(restore), at(3600));
      assert.partialDeepStrictEqual(decision, { do: "fail", reason: "TimedOut" });
      const last = restore.status.conditions?.find(({ type }) => type === "Succeeded")?.message ?? "nothing";
      assert.match("message" in decision ? decision.message : "", new RegExp(`${last}$`));
      assert.notEqual(decideRestore(observed(restore), at(3599)).do, "fail");
    }
  });

  it("keeps a proof that it reads after the deadline", () => {
    const input = observed(atStep("prove"), { work: ended(proved) });
    assert.deepEqual(decideRestore(input, at(7_200)), { do: "succeed", verification: proof });
  });

  it("records the end after a delay where that failed, a bounded number of times", () => {
    let restore = atStep("succeeded");
    const delays: number[] = [];
    let now = began;
    for (let attempt = 1; attempt <= recordAttempts; attempt++) {
      assert.deepEqual(decideRestore(observed(restore), now), { do: "recordEnd" });
      const next = afterUnrecordedEnd(restore, new OperatorError("StoreFailed", "503"), now);
      restore = { ...restore, status: endNotRecorded(restore, next) };
      if (next.at === undefined) break;
      const ms = next.at.getTime() - now.getTime();
      assert.deepEqual(decideRestore(observed(restore), now), { do: "recordEndLater", ms });
      delays.push(ms / 1000);
      now = next.at;
    }
    assert.deepEqual(delays, [15, 30, 60, 120, 240]);
    assert.deepEqual(decideRestore(observed(restore), now), { do: "nothing" });
    const { state, attempts, message } = restore.status.endRecord ?? {};
    assert.deepEqual([state, attempts], ["NotWritten", recordAttempts]);
    assert.match(message ?? "", /503; if this API server is restored/);
    assert.equal(restore.status.conditions?.find(({ type }) => type === "Succeeded")?.status, "True");
  });

  it("records no end in a ReadOnly store", () => {
    const readOnly = new OperatorError("Refused", "EtcdBackupStore s has accessMode ReadOnly");
    assert.equal(afterUnrecordedEnd(atStep("succeeded"), readOnly, began).at, undefined);
  });

  it("needs nothing once the restore has ended, whatever is observed", () => {
    const ends = [
      atStep("over"),
      {
        ...restoreOf(),
        status: restoreFailed(atStep("restore"), { reason: "MemberFailed", message: "no" }, began),
      },
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...ends),
        fc.constantFrom<ObservedWork>({ state: "none" }, running, ended(good), ended(proved)),
        fc.constantFrom("none" as const, "running" as const, "succeeded" as const),
        fc.nat(1e7),
        (restore, work, job, seconds) => {
          const input = observed(restore, { work, members: members(job) });
          assert.deepEqual(decideRestore(input, at(seconds)), { do: "nothing" });
        },
      ),
    );
  });

  it("creates no Job before the backup is verified, and no cluster before every volume holds the data", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(["verify", "restore", "start", "prove"] as const)),
        fc.array(fc.constantFrom("none" as const, "running" as const, "succeeded" as const), {
          minLength: 3,
          maxLength: 3,
        }),
        fc.constantFrom<ObservedWork>({ state: "none" }, running, ended(good), ended(proved)),
        (step, jobs, work) => {
          const input = observed(atStep(step), { members: members(...jobs), work });
          const decision = decideRestore(input, at(1));
          if (decision.do === "restoreMembers") assert.equal(step, "restore");
          if (decision.do === "createCluster") assert.equal(step, "start");
          if (decision.do === "recordRestored") assert.ok(jobs.every((state) => state === "succeeded"));
        },
      ),
    );
  });
});

describe("afterRestoreFailure", () => {
  const decide = (code: ErrorCode, step: Step, over: { permanent?: boolean; attempts?: number } = {}) => {
    const { permanent = false, attempts = 1 } = over;
    const restore = atStep(step);
    const error = new OperatorError(code, "it broke", { permanent });
    return afterRestoreFailure({ ...restore, status: { ...restore.status, attempts } }, error, began);
  };

  it("gives a failure the reason of its step: backup or store while verifying, cluster while proving", () => {
    const rows: [ErrorCode, verifying: string, proving: string][] = [
      ["NotFound", "BackupNotFound", "BackupNotFound"],
      ["VerificationFailed", "BackupDamaged", "NotProved"],
      ["Unreachable", "StoreNotReady", "NotProved"],
      ["Timeout", "StoreNotReady", "NotProved"],
      ["StoreFailed", "StoreNotReady", "StoreNotReady"],
      ["MembersDisagree", "NotProved", "NotProved"],
      ["CredentialsNotFound", "CredentialsNotFound", "CredentialsNotFound"],
      ["Unauthorized", "Unauthorized", "Unauthorized"],
      ["Internal", "InternalError", "InternalError"],
    ];
    for (const [code, verifying, proving] of rows)
      assert.deepEqual(
        [decide(code, "verify").reason, decide(code, "prove").reason],
        [verifying, proving],
        code,
      );
  });

  it("fails after a permanent error", () => {
    assert.equal(decide("VerificationFailed", "verify", { permanent: true }).do, "fail");
  });

  it("tries again after 5 s, doubling, until backoffLimit is reached", () => {
    const delays = [1, 2].map((attempts) => {
      const decision = decide("Unreachable", "verify", { attempts });
      return decision.do === "retry" ? decision.at.getTime() - began.getTime() : decision;
    });
    assert.deepEqual(delays, [5_000, 10_000]);
    assert.partialDeepStrictEqual(decide("Unreachable", "verify", { attempts: 3 }), {
      do: "fail",
      message: "3 attempts failed; the last error: it broke",
    });
  });

  it("tries to prove the cluster again until the deadline, without a limit", () => {
    assert.equal(decide("Unreachable", "prove", { attempts: 50 }).do, "retry");
  });
});

describe("the status of an EtcdRestore", () => {
  it("counts the attempts of each step separately", () => {
    const begun = (restore: EtcdRestore, step: "verify" | "prove") => ({
      ...restore,
      status: workBegun(restore, step, began),
    });
    const twice = begun(begun(atStep("verify"), "verify"), "verify");
    assert.equal(twice.status.attempts, 2);
    assert.equal(verified(twice, { source: restoredSource, token }, began).attempts, undefined);
    assert.equal(begun(atStep("prove"), "prove").status.attempts, 1);
  });

  it("lists every member with its volume, phase and attempts", () => {
    const status = membersSeen(
      atStep("restore"),
      members("succeeded", "running", "none"),
      { reason: "RestoringMembers", message: "" },
      began,
    );
    assert.deepEqual(status.members, [
      { name: "back-0", volume: "data-back-0", phase: "Restored", attempts: 1 },
      { name: "back-1", volume: "data-back-1", phase: "Restoring", attempts: 1 },
      { name: "back-2", volume: "data-back-2", phase: "Pending", attempts: 0 },
    ]);
  });

  it("gives the duration of each step to the second", () => {
    const fresh = atStep("verify");
    const checked = { ...fresh, status: verified(fresh, { source: restoredSource, token }, at(0.4)) };
    const filled = { ...checked, status: membersRestored(checked, members("succeeded"), at(42)) };
    const started = { ...filled, status: clusterRunning(filled, at(45)) };
    const done = restoreSucceeded(started, proof, at(125));
    assert.deepEqual(done.durations, {
      verify: "<1s",
      restore: "42s",
      start: "3s",
      prove: "1m 20s",
      total: "2m 5s",
    });
  });
});
