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
  minimalBackup,
  minimalRestore,
  restoreKind,
} from "./objects.fixture.ts";
import { apiStatusOf } from "../errors.ts";

export function statusRules(api: Api): void {
  describe("a status that is applied", () => {
    it("changes the version, and neither spec, generation nor other metadata", async () => {
      const { ref, created, uid } = await createBackup(api);
      const status = { observedGeneration: 1, runID: "r", conditions: [condition("Ready", "Pending")] };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, status);
      const { resourceVersion, ...metadata } = written.metadata;
      const { resourceVersion: before, ...createdMetadata } = created.metadata;
      assert.notEqual(resourceVersion, before);
      assert.deepEqual(withoutManagers(metadata), withoutManagers(createdMetadata));
      assert.deepEqual(written.spec, created.spec);
      assert.deepEqual(await existing(api.client, backupKind, ref), written);
    });

    it("is whole: what is left out is removed, in nested objects and lists too", async () => {
      const { ref, uid } = await createBackup(api);
      const first = {
        observedGeneration: 1,
        attempts: 1,
        startTime: "2026-08-20T12:00:00Z",
        progress: { bytes: 1, totalBytes: 2 },
        hashKV: { revision: 1, hash: 2, compactRevision: -1, membersCompared: ["m0", "m1"] },
        conditions: [condition("Ready", "Streaming"), condition("Stalled", "TimedOut")],
      };
      await api.client.applyStatus(backupKind, ref, { uid, status: first }, call);
      const second = {
        observedGeneration: 1,
        attempts: 2,
        hashKV: { ...first.hashKV, membersCompared: ["m1"] },
        conditions: [condition("Ready", "Retrying")],
      };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status: second }, call);
      assert.deepEqual(written.status, second);
      const last = { observedGeneration: 1 };
      const bare = await api.client.applyStatus(backupKind, ref, { uid, status: last }, call);
      assert.deepEqual(bare.status, last);
    });

    it("for a version that is no longer there is a Conflict, and nothing is written", async () => {
      const { ref, created, uid } = await createBackup(api);
      const { resourceVersion } = created.metadata;
      const first = { observedGeneration: 1, attempts: 1 };
      const written = await api.client.applyStatus(backupKind, ref, { resourceVersion, status: first }, call);
      const late = { resourceVersion, status: { observedGeneration: 1, attempts: 2 } };
      await assert.rejects(api.client.applyStatus(backupKind, ref, late, call), { code: "Conflict" });
      assert.deepEqual(await existing(api.client, backupKind, ref), written);
      assert.equal(written.metadata.uid, uid);
    });

    it("as it is already keeps the version", async () => {
      const { ref, uid } = await createBackup(api);
      const status = { observedGeneration: 1, conditions: [condition("Ready", "Pending")] };
      const before = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(await api.client.applyStatus(backupKind, ref, { uid, status }, call), before);
      assert.deepEqual(await api.client.applyStatus(backupKind, ref, { status }, call), before);
    });
  });
}

export function statusFieldRules(api: Api): void {
  describe("a field of a status that is applied", () => {
    it("keeps the default of a field until that field has been applied, and then needs it", async () => {
      const { ref, uid } = await createBackup(api);
      const first = await api.client.applyStatus(backupKind, ref, { uid, status: { attempts: 1 } }, call);
      assert.deepEqual(first.status, { observedGeneration: -1, attempts: 1 });
      const status = { observedGeneration: 1, attempts: 1 };
      await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      await assert.rejects(api.client.applyStatus(backupKind, ref, { uid, status: { attempts: 1 } }, call), {
        code: "InvalidConfiguration",
        message: /status\.observedGeneration: Required/,
      });
    });

    it("may hold an empty object, which is filled later", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      await api.client.create(restoreKind, minimalRestore(ref), call);
      for (const durations of [{}, { verify: "1s" }, { verify: "1s", total: "2s" }]) {
        const status = { observedGeneration: 1, durations };
        const written = await api.client.applyStatus(restoreKind, ref, { status }, call);
        assert.deepEqual(written.status, status);
      }
    });

    it("may hold an empty list, which goes with the field that holds it", async () => {
      const { ref, uid } = await createBackup(api);
      const hashKV = { revision: 1, hash: 2, compactRevision: -1, membersCompared: ["m0"] };
      const full = { observedGeneration: 1, hashKV };
      await api.client.applyStatus(backupKind, ref, { uid, status: full }, call);
      const empty = { observedGeneration: 1, hashKV: { ...hashKV, membersCompared: [] } };
      const written = await api.client.applyStatus(backupKind, ref, { uid, status: empty }, call);
      assert.deepEqual(written.status, empty);
      const status = { observedGeneration: 1 };
      const without = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(without.status, status);
    });
  });
}

export function refusedStatusRules(api: Api): void {
  describe("a status that is refused", () => {
    it("by the schema is InvalidConfiguration, and changes nothing", async () => {
      const { ref, created, uid } = await createBackup(api);
      const ready = condition("Ready", "Pending");
      const refused: [object, RegExp][] = [
        [{ observedGeneration: -2 }, /status\.observedGeneration/],
        [{ attempts: 1.5 }, /status\.attempts/],
        [{ conditions: [{ ...ready, reason: undefined }] }, /status\.conditions\[0\]\.reason/],
        [{ conditions: [{ ...ready, reason: "two words" }] }, /status\.conditions\[0\]\.reason/],
        [{ conditions: [{ ...ready, status: "Maybe" }] }, /status\.conditions\[0\]\.status/],
        [{ startTime: "yesterday" }, /status\.startTime/],
        [{ progress: { bytes: 1 } }, /status\.progress\.totalBytes/],
      ];
      for (const [change, message] of refused) {
        const status = { observedGeneration: 1, ...change };
        await assert.rejects(
          api.client.applyStatus(backupKind, ref, { uid, status }, call),
          { name: "OperatorError", code: "InvalidConfiguration", message },
          JSON.stringify(change),
        );
      }
      assert.deepEqual(await existing(api.client, backupKind, ref), created);
    });

    it("because it cannot be read is a failure of the server, and changes nothing", async () => {
      const { ref, created } = await createBackup(api);
      for (const status of [
        { observedGeneration: 1, unknown: "x" },
        { observedGeneration: "1" },
        { observedGeneration: 1, progress: [] },
        { observedGeneration: 1, conditions: [{ status: "True" }] },
      ]) {
        const applied = applyStatusAs(api, "etcd-backup-operator", ref, status);
        await assert.rejects(applied, (error) => apiStatusOf(error)?.status === 500);
      }
      assert.deepEqual(await existing(api.client, backupKind, ref), created);
    });
  });
}

export function guardRules(api: Api): void {
  describe("a status that is meant for one uid", () => {
    it("is a Conflict when another object has taken the name, and does not land there", async () => {
      const { ref, uid } = await createBackup(api);
      await api.client.remove(backupKind, ref, call);
      const other = await api.client.create(backupKind, minimalBackup(ref), call);
      const status = { observedGeneration: 1 };
      await assert.rejects(api.client.applyStatus(backupKind, ref, { uid, status }, call), {
        name: "OperatorError",
        code: "Conflict",
        permanent: false,
      });
      assert.deepEqual(await existing(api.client, backupKind, ref), other);
    });

    it("is NotFound when the object has gone, and creates none", async () => {
      const { ref, uid } = await createBackup(api);
      await api.client.remove(backupKind, ref, call);
      const status = { observedGeneration: 1 };
      await assert.rejects(api.client.applyStatus(backupKind, ref, { uid, status }, call), {
        name: "OperatorError",
        code: "NotFound",
      });
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
    });
  });
}

/** The real server notes there who wrote what, and when. */
function withoutManagers(metadata: object): object {
  return { ...metadata, managedFields: undefined };
}
