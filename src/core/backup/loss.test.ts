import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LossDecision, type ObservedLoss, decideLoss } from "./loss.ts";

const forbidden = { unknown: "get namespaces a: not allowed" };

describe("an EtcdBackup whose stored backup cannot be deleted", () => {
  const table: [what: string, observed: ObservedLoss, decision: LossDecision["do"]][] = [
    [
      "waits when a Secret was deleted in a namespace that is not",
      { namespace: "live", store: "found", isClaimed: false, missingSecrets: ["s3"] },
      "block",
    ],
    [
      "waits when the store was deleted in a namespace that is not",
      { namespace: "live", store: "missing", isClaimed: false, missingSecrets: [] },
      "block",
    ],
    [
      "waits in a namespace that is being deleted while the store and its Secrets exist",
      { namespace: "terminating", store: "found", isClaimed: false, missingSecrets: [] },
      "block",
    ],
    [
      "is released when its Secret is gone from a namespace that is being deleted",
      { namespace: "terminating", store: "found", isClaimed: false, missingSecrets: ["s3"] },
      "release",
    ],
    [
      "is released when its store is gone from a namespace that is being deleted",
      { namespace: "terminating", store: "missing", isClaimed: false, missingSecrets: [] },
      "release",
    ],
    [
      "is released in a namespace that is being deleted when the folder is another writer's",
      { namespace: "terminating", store: "found", isClaimed: true, missingSecrets: [] },
      "release",
    ],
    [
      "waits for the folder of another writer in a namespace that is not being deleted",
      { namespace: "live", store: "found", isClaimed: true, missingSecrets: [] },
      "block",
    ],
    [
      "waits when the operator may not read the namespace, also without a Secret",
      { namespace: forbidden, store: "found", isClaimed: false, missingSecrets: ["s3"] },
      "block",
    ],
    [
      "waits when the operator may not read the namespace, also without a store",
      { namespace: forbidden, store: "missing", isClaimed: false, missingSecrets: [] },
      "block",
    ],
  ];
  for (const [what, observed, expected] of table)
    it(what, () => assert.equal(decideLoss(observed).do, expected));

  it("says which Secrets are gone, and why the operator cannot tell whether the namespace is being deleted", () => {
    const lost = { namespace: "terminating", store: "found", isClaimed: false } as const;
    assert.deepEqual(decideLoss({ ...lost, missingSecrets: ["s3", "ca"] }), {
      do: "release",
      because: "Secrets s3, ca, which the EtcdBackupStore needs, no longer exist",
    });
    assert.deepEqual(
      decideLoss({ namespace: forbidden, store: "missing", isClaimed: false, missingSecrets: [] }),
      {
        do: "block",
        note: "whether the namespace is being deleted is unknown: get namespaces a: not allowed",
      },
    );
  });
});
