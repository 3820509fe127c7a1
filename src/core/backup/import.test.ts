import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { OperatorError } from "../errors.ts";
import { backupOf, importOf, later, now } from "./backup.fixture.ts";
import { type BackupDecision, decide, finalizer } from "./decide.ts";
import type { ObservedBackup, StoredBackup, StoredRun } from "./observed.ts";
import { failed, initialized, lookingAgain, waiting } from "./status.ts";

const name = "20260820T120000Z-r00000000000000000042-0f1e2d3c4b5ax1";
const fresh = importOf(name);
const pending = { ...fresh, status: initialized(fresh, now) };
const stored = {} as StoredBackup;
const found: StoredRun = { state: "found", backup: stored };
const absent: StoredRun = { state: "absent" };
const unknown = (code: "StoreFailed" | "VerificationFailed"): StoredRun => ({
  state: "unknown",
  error: new OperatorError(code, "503 SlowDown"),
});

function decideOn(backup: EtcdBackup, over: Partial<ObservedBackup> = {}, at = now): BackupDecision {
  const observed = {
    run: { state: "none" },
    stored: { state: "notAsked" },
    folder: { state: "free" },
  } as const;
  return decide(
    { backup, store: "found", isStoreGuarded: true, freeSlots: 0, place: 3, ...observed, ...over },
    at,
  );
}

const missed = decideOn(pending, { stored: absent });
assert.ok(missed.do === "lookAgain");
const waits = { ...pending, status: lookingAgain(pending, missed, now) };
const noStore = decideOn(waits, { store: "missing" });
assert.ok(noStore.do === "wait");
const returned = { ...waits, status: waiting(waits, noStore, now) };

describe("the decision about an imported backup", () => {
  const deletion = { deletionTimestamp: now.toISOString(), finalizers: [finalizer] };
  const gone = { do: "fail", reason: "BackupNotFound", message: "" } as const;
  const table: [string, BackupDecision, BackupDecision["do"]][] = [
    ["a new one gets its first conditions", decideOn(fresh), "initialize"],
    ["a pending one is looked up, without a slot", decideOn(pending), "lookUpImported"],
    ["it is looked up in a ReadOnly store", decideOn(pending, { store: "readOnly" }), "lookUpImported"],
    ["it waits for its EtcdBackupStore", decideOn(pending, { store: "missing" }), "wait"],
    [
      "an EtcdBackupStore that is missing until the deadline fails it",
      decideOn(waits, { store: "missing" }, later(3600)),
      "fail",
    ],
    ["what the store holds is recorded", decideOn(pending, { stored: found }), "recordImported"],
    [
      "what the store holds is recorded also after the deadline",
      decideOn(waits, { stored: found }, later(9000)),
      "recordImported",
    ],
    ["what the store does not hold is looked up again", missed, "lookAgain"],
    ["the next look waits for its time", decideOn(waits, {}, later(9)), "wait"],
    ["the next look begins at its time", decideOn(waits, {}, later(10)), "lookUpImported"],
    ["it is looked up at once when its EtcdBackupStore exists again", decideOn(returned), "lookUpImported"],
    ["the last look is at the deadline", decideOn(waits, {}, later(3600)), "lookUpImported"],
    ["a look after the deadline is the last", decideOn(waits, { stored: absent }, later(3600)), "fail"],
    [
      "a store that does not answer is asked again",
      decideOn(pending, { stored: unknown("StoreFailed") }),
      "lookAgain",
    ],
    [
      "a store that does not answer until the deadline fails it",
      decideOn(waits, { stored: unknown("StoreFailed") }, later(3600)),
      "fail",
    ],
    ["damage fails it at once", decideOn(pending, { stored: unknown("VerificationFailed") }), "fail"],
    ["an ended one needs nothing", decideOn({ ...pending, status: failed(pending, gone, now) }), "nothing"],
    [
      "a deletion removes a finalizer and nothing else",
      decideOn({
        ...waits,
        spec: { ...waits.spec, deletionPolicy: "Delete" },
        metadata: { ...waits.metadata, ...deletion },
      }),
      "removeFinalizer",
    ],
  ];
  for (const [what, decision, expected] of table) it(what, () => assert.equal(decision.do, expected));

  it("waits between looks for as long as before, 10 s to 6 min, and not beyond the deadline", () => {
    const waitAfter = (seconds: number) => {
      const decision = decideOn(waits, { stored: absent }, later(seconds));
      assert.ok(decision.do === "lookAgain");
      return (decision.at.getTime() - later(seconds).getTime()) / 1000;
    };
    assert.deepEqual([0, 10, 20, 40, 300, 900, 3590].map(waitAfter), [10, 10, 20, 40, 300, 360, 10]);
  });

  it("says in the same words at each look what is missing, so that its events are one series", () => {
    const second = decideOn(waits, { stored: absent }, later(20));
    assert.ok(second.do === "lookAgain");
    assert.equal(second.message, missed.message);
  });

  it("gives a read that failed the reasons of a read, not those of an upload", () => {
    const decision = decideOn(pending, { stored: unknown("StoreFailed") });
    assert.partialDeepStrictEqual(decision, { do: "lookAgain", eventReason: "StoreNotReady" });
    const damaged = decideOn(pending, { stored: unknown("VerificationFailed") });
    assert.partialDeepStrictEqual(damaged, { do: "fail", reason: "VerificationFailed" });
  });
});

it("an EtcdBackup of neither a cluster nor a stored backup fails", () => {
  const { etcd: _, ...spec } = backupOf().spec;
  const neither = { ...backupOf(), spec, status: initialized(backupOf(), now) };
  assert.partialDeepStrictEqual(decideOn(neither), { do: "fail", reason: "InvalidConfiguration" });
});
