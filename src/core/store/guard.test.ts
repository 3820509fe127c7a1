import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { backupOf, now } from "../backup/backup.fixture.ts";
import { finalizer } from "../backup/decide.ts";
import { type GuardDecision, decideGuard, deletionWaits, needsStore, storeFinalizer } from "./guard.ts";
import { storeOf as defaultStore } from "./store.fixture.ts";

type Metadata = Partial<EtcdBackupStore["metadata"]>;

function storeOf(metadata: Metadata): EtcdBackupStore {
  return defaultStore({
    metadata: { generation: 2, ...metadata },
    status: {
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "Reachable",
          message: "m",
          observedGeneration: 1,
          lastTransitionTime: "2026-08-20T11:00:00Z",
        },
      ],
    },
  });
}

describe("the finalizer of an EtcdBackupStore", () => {
  const guarded: Metadata = { finalizers: ["other.example/x", storeFinalizer] };
  const deleted: Metadata = { deletionTimestamp: now.toISOString() };
  const table: [what: string, metadata: Metadata, backups: number, decision: GuardDecision["do"]][] = [
    ["is not needed without EtcdBackups that need the store", {}, 0, "nothing"],
    ["is added for the first EtcdBackup that needs the store", {}, 1, "add"],
    ["stays while EtcdBackups need the store", guarded, 2, "nothing"],
    ["is removed with the last EtcdBackup that needs the store", guarded, 0, "remove"],
    [
      "is removed from a store that is being deleted when no EtcdBackup needs it",
      { ...guarded, ...deleted },
      0,
      "remove",
    ],
    [
      "keeps a store that is being deleted while an EtcdBackup needs it",
      { ...guarded, ...deleted },
      1,
      "wait",
    ],
    ["is not added to a store that is being deleted, which the API server refuses", deleted, 1, "nothing"],
    [
      "of another program is none of the operator's",
      { finalizers: ["other.example/x"], ...deleted },
      0,
      "nothing",
    ],
  ];
  for (const [what, metadata, backups, expected] of table)
    it(what, () => assert.equal(decideGuard(storeOf(metadata), backups).do, expected));

  it("is explained in a condition with the number of EtcdBackups and what to do, and Ready stays", () => {
    const store = storeOf({ ...guarded, ...deleted });
    const messageFor = (backups: number) => {
      const decision = decideGuard(store, backups);
      assert.equal(decision.do, "wait");
      return decision.do === "wait" ? decision.message : "";
    };
    assert.match(
      messageFor(1),
      /^1 EtcdBackup with deletionPolicy Delete needs this EtcdBackupStore; delete/,
    );
    assert.match(
      messageFor(3),
      /^3 EtcdBackups with deletionPolicy Delete need this .*deletionPolicy to Retain$/,
    );
    const { conditions = [], observedGeneration } = deletionWaits(store, messageFor(3), now);
    assert.deepEqual(
      conditions.map(({ type, status, reason }) => [type, status, reason]),
      [
        ["Ready", "True", "Reachable"],
        ["Stalled", "True", "NeededByBackups"],
      ],
    );
    assert.equal(observedGeneration, 2);
  });

  it("is needed by an EtcdBackup with the finalizer of stored objects, and by no other", () => {
    assert.equal(needsStore(backupOf({ metadata: { finalizers: [finalizer] } })), true);
    assert.equal(needsStore(backupOf({ metadata: { finalizers: ["other.example/x"] } })), false);
    assert.equal(needsStore(backupOf()), false);
  });
});
