import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LossDecision, type ObservedLoss, decideLoss } from "./loss.ts";

const forbidden = { unknown: "get namespaces a: not allowed" };

describe("an EtcdBackup whose stored backup cannot be deleted", () => {
  const table: [what: string, observed: ObservedLoss, decision: LossDecision["do"]][] = [
    [
      "waits when a Secret was deleted in a namespace that is not",
      { namespace: "live", store: "found", missingSecrets: ["s3"] },
      "block",
    ],
    [
      "waits when the store was deleted in a namespace that is not",
      { namespace: "live", store: "missing", missingSecrets: [] },
      "block",
    ],
    [
      "waits in a namespace that is being deleted while the store and its Secrets exist",
      { namespace: "terminating", store: "found", missingSecrets: [] },
      "block",
    ],
    [
      "is released when its Secret is gone from a namespace that is being deleted",
      { namespace: "terminating", store: "found", missingSecrets: ["s3"] },
      "release",
    ],
    [
      "is released when its store is gone from a namespace that is being deleted",
      { namespace: "terminating", store: "missing", missingSecrets: [] },
      "release",
    ],
    [
      "waits when the operator may not read the namespace, also without a Secret",
      { namespace: forbidden, store: "found", missingSecrets: ["s3"] },
      "block",
    ],
    [
      "waits when the operator may not read the namespace, also without a store",
      { namespace: forbidden, store: "missing", missingSecrets: [] },
      "block",
    ],
  ];
  for (const [what, observed, expected] of table)
    it(what, () => assert.equal(decideLoss(observed).do, expected));

  it("says which Secrets are gone, and why the operator cannot tell whether the namespace is being deleted", () => {
    const lost = { namespace: "terminating", store: "found" } as const;
    assert.deepEqual(decideLoss({ ...lost, missingSecrets: ["s3", "ca"] }), {
      do: "release",
      because: "Secrets s3, ca, which the EtcdBackupStore needs, no longer exist",
    });
    assert.deepEqual(decideLoss({ namespace: forbidden, store: "missing", missingSecrets: [] }), {
      do: "block",
      note: "whether the namespace is being deleted is unknown: get namespaces a: not allowed",
    });
  });
});
