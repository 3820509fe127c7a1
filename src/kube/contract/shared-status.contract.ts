import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Api,
  applyStatusAs,
  backupKind,
  call,
  condition,
  createBackup,
  existing,
  mergePatchAs,
} from "./objects.fixture.ts";
import type { ObjectRef } from "../objects.ts";

/** Writes to the status as another field manager, by a request that is no apply. */
function patchStatus(api: Api, ref: ObjectRef, status: object): Promise<void> {
  const patch = { status };
  return mergePatchAs(api.client, "somebody", { kind: backupKind, ref, patch, subresource: "status" });
}

export function sharedConditionRules(api: Api): void {
  describe("a status with conditions of another field manager", () => {
    it("keeps those, and loses a condition of the operator that an apply leaves out", async () => {
      const { ref, uid } = await createBackup(api);
      const [ready, stalled] = [condition("Ready", "Pending"), condition("Stalled", "TimedOut")];
      const checked = condition("example.com/Checked", "ByHand");
      const first = { observedGeneration: 1, conditions: [ready, stalled] };
      await api.client.applyStatus(backupKind, ref, { uid, status: first }, call);
      await patchStatus(api, ref, { conditions: [ready, stalled, checked] });
      const status = { observedGeneration: 1, conditions: [ready] };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, { observedGeneration: 1, conditions: [ready, checked] });
    });

    it("keeps those before the next condition that both lists hold", async () => {
      const { ref, uid } = await createBackup(api);
      const [ready, stalled] = [condition("Ready", "Pending"), condition("Stalled", "TimedOut")];
      const checked = condition("example.com/Checked", "ByHand");
      const first = { observedGeneration: 1, conditions: [ready] };
      await api.client.applyStatus(backupKind, ref, { uid, status: first }, call);
      await patchStatus(api, ref, { conditions: [checked, ready] });
      const status = { observedGeneration: 1, conditions: [stalled, ready] };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status.conditions, [checked, stalled, ready]);
      await patchStatus(api, ref, { conditions: [ready, checked, stalled] });
      const again = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(again.status.conditions, [checked, stalled, ready]);
    });

    it("loses a condition of the operator together with what the other manager has changed in it", async () => {
      const { ref, uid } = await createBackup(api);
      const [ready, stalled] = [condition("Ready", "Pending"), condition("Stalled", "TimedOut")];
      const first = { observedGeneration: 1, conditions: [ready, stalled] };
      await api.client.applyStatus(backupKind, ref, { uid, status: first }, call);
      await patchStatus(api, ref, { conditions: [ready, { ...stalled, reason: "Theirs" }] });
      const status = { observedGeneration: 1, conditions: [ready] };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, status);
    });
  });
}

export function fieldOwnerRules(api: Api): void {
  describe("a status field that another field manager has written", () => {
    it("gets the value that the operator applies", async () => {
      const { ref, uid } = await createBackup(api);
      const status = { observedGeneration: 1, attempts: 1 };
      await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      await patchStatus(api, ref, { attempts: 9 });
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.equal(written.status.attempts, 1);
      const without = await api.client.applyStatus(
        backupKind,
        ref,
        { uid, status: { observedGeneration: 1 } },
        call,
      );
      assert.deepEqual(without.status, { observedGeneration: 1 });
    });

    it("stays when an apply of the operator leaves it out", async () => {
      const { ref, uid } = await createBackup(api);
      await api.client.applyStatus(
        backupKind,
        ref,
        { uid, status: { observedGeneration: 1, attempts: 1 } },
        call,
      );
      await patchStatus(api, ref, { attempts: 9 });
      const status = { observedGeneration: 1 };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, { observedGeneration: 1, attempts: 9 });
    });

    it("stays when both have applied it and one leaves it out", async () => {
      const { ref, uid } = await createBackup(api);
      const [ready, stalled] = [condition("Ready", "Pending"), condition("Stalled", "TimedOut")];
      const both = { observedGeneration: 1, attempts: 1, conditions: [ready, stalled] };
      await api.client.applyStatus(backupKind, ref, { uid, status: both }, call);
      await applyStatusAs(api, "somebody", ref, { attempts: 1, conditions: [stalled] });
      const status = { observedGeneration: 1, conditions: [ready] };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, { ...both, conditions: [ready, stalled] });
    });

    it("is owned by both when the operator applies the same value: a new version of the object", async () => {
      const { ref, uid } = await createBackup(api);
      const first = { observedGeneration: 1, attempts: 1 };
      await api.client.applyStatus(backupKind, ref, { uid, status: first }, call);
      await patchStatus(api, ref, { attempts: 9 });
      const before = await existing(api.client, backupKind, ref);
      const status = { observedGeneration: 1, attempts: 9 };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, before.status);
      assert.notEqual(written.metadata.resourceVersion, before.metadata.resourceVersion);
    });
  });
}

export function statusBoundaryRules(api: Api): void {
  describe("a status and the rest of its object", () => {
    it("can be written while the object is changed", async () => {
      const { ref, uid } = await createBackup(api);
      await Promise.all(
        [1, 2, 3].flatMap((n) => [
          api.client.patchMetadata(backupKind, ref, { annotations: { n: String(n) } }, call),
          api.client.applyStatus(
            backupKind,
            ref,
            { uid, status: { observedGeneration: 1, attempts: n } },
            call,
          ),
        ]),
      );
      assert.ok((await existing(api.client, backupKind, ref)).status.attempts);
    });

    it("are apart: a patch of the object leaves the status as it is", async () => {
      const { ref } = await createBackup(api);
      const patch = { metadata: { labels: { a: "1" } }, status: { observedGeneration: 9 } };
      await mergePatchAs(api.client, "somebody", { kind: backupKind, ref, patch });
      const { status, metadata } = await existing(api.client, backupKind, ref);
      assert.deepEqual([status, metadata.labels], [{ observedGeneration: -1 }, { a: "1" }]);
    });

    it("are apart: a patch of the status changes nothing else", async () => {
      const { ref, created } = await createBackup(api);
      const patch = {
        metadata: { labels: { a: "1" } },
        spec: { deletionPolicy: "Delete" },
        status: { observedGeneration: 3 },
      };
      await mergePatchAs(api.client, "somebody", { kind: backupKind, ref, patch, subresource: "status" });
      const { status, metadata, spec } = await existing(api.client, backupKind, ref);
      assert.deepEqual([status, spec], [{ observedGeneration: 3 }, created.spec]);
      assert.deepEqual([metadata.labels, metadata.generation], [undefined, 1]);
    });
  });
}
