import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Api, backupKind, call, existing, minimalBackup } from "./objects.fixture.ts";

const finalizer = "etcdbackup.dev/test";
const others = "example.com/others";

export function metadataRules(api: Api): void {
  describe("metadata", () => {
    it("is merged: what is not named stays, and null removes", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const metadata = { labels: { a: "1" }, annotations: { a: "1", b: "2" } };
      const before = await api.client.create(backupKind, minimalBackup(ref, metadata), call);
      const patch = { labels: { b: "2" }, annotations: { a: null }, finalizers: [finalizer] };
      const after = await api.client.patchMetadata(backupKind, ref, patch, call);
      const { labels, annotations, finalizers, generation } = after.metadata;
      assert.deepEqual(labels, { a: "1", b: "2" });
      assert.deepEqual(annotations, { b: "2" });
      assert.deepEqual(finalizers, [finalizer]);
      assert.equal(generation, 1);
      assert.deepEqual([after.spec, after.status], [before.spec, before.status]);
      assert.notEqual(after.metadata.resourceVersion, before.metadata.resourceVersion);
    });

    it("that is there already keeps the version", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const metadata = { labels: { a: "1" }, finalizers: [finalizer] };
      const created = await api.client.create(backupKind, minimalBackup(ref, metadata), call);
      const before = await api.client.replace(backupKind, created, call);
      const patch = { ...metadata, labels: { a: "1", b: null } };
      assert.deepEqual(await api.client.patchMetadata(backupKind, ref, patch, call), before);
    });

    it("is a Conflict when the object has changed since the version given", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const { metadata } = await api.client.create(backupKind, minimalBackup(ref), call);
      const { resourceVersion } = metadata;
      const changed = { resourceVersion, finalizers: [finalizer] };
      const before = await api.client.patchMetadata(backupKind, ref, changed, call);
      const stale = { resourceVersion, finalizers: [] };
      await assert.rejects(api.client.patchMetadata(backupKind, ref, stale, call), {
        name: "OperatorError",
        code: "Conflict",
        permanent: false,
      });
      assert.deepEqual(await existing(api.client, backupKind, ref), before);
    });

    it("without any finalizer has no such field", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      await api.client.create(backupKind, minimalBackup(ref, { finalizers: [finalizer] }), call);
      const { metadata } = await api.client.patchMetadata(backupKind, ref, { finalizers: [] }, call);
      assert.equal("finalizers" in metadata, false);
    });
  });
}

export function removeRules(api: Api): void {
  describe("an object that is removed", () => {
    it("is gone, and removing it again is no error", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      await api.client.create(backupKind, minimalBackup(ref), call);
      await api.client.remove(backupKind, ref, call);
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
      await api.client.remove(backupKind, ref, call);
    });

    it("leaves its name to another object with another uid", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const first = await api.client.create(backupKind, minimalBackup(ref), call);
      await api.client.remove(backupKind, ref, call);
      const second = await api.client.create(backupKind, minimalBackup(ref), call);
      assert.notEqual(second.metadata.uid, first.metadata.uid);
      assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion);
    });

    it("is a Conflict and stays when the uid is of another", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const before = await api.client.create(backupKind, minimalBackup(ref), call);
      await assert.rejects(
        api.client.remove(backupKind, ref, { uid: "00000000-0000-4000-8000-00000000ffff", ...call }),
        { name: "OperatorError", code: "Conflict", permanent: false },
      );
      assert.deepEqual(await api.client.get(backupKind, ref, call), before);
      await api.client.remove(backupKind, ref, { uid: before.metadata.uid, ...call });
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
    });
  });
}

/** Creates an object with these finalizers and asks for its deletion. */
async function deleting(api: Api, finalizers: string[]) {
  const ref = { namespace: await api.namespace(), name: "a" };
  const created = await api.client.create(backupKind, minimalBackup(ref, { finalizers }), call);
  await api.client.remove(backupKind, ref, call);
  return { ref, created, before: await existing(api.client, backupKind, ref) };
}

export function finalizerRules(api: Api): void {
  describe("an object with a finalizer that is removed", () => {
    it("stays, with the time of its deletion and the next generation", async () => {
      const { ref, created, before } = await deleting(api, [finalizer]);
      const { deletionTimestamp, generation, finalizers, uid } = before.metadata;
      assert.match(deletionTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.deepEqual([generation, finalizers, uid], [2, [finalizer], created.metadata.uid]);
      assert.deepEqual([before.spec, before.status], [created.spec, created.status]);
      await assert.rejects(api.client.create(backupKind, minimalBackup(ref), call), {
        code: "AlreadyExists",
      });
    });

    it("is not changed by being removed again", async () => {
      const { ref, before } = await deleting(api, [finalizer]);
      await api.client.remove(backupKind, ref, call);
      assert.deepEqual(await existing(api.client, backupKind, ref), before);
    });

    it("is gone with its last finalizer, not before", async () => {
      const { ref } = await deleting(api, [finalizer, others]);
      await api.client.patchMetadata(backupKind, ref, { finalizers: [others] }, call);
      assert.deepEqual((await existing(api.client, backupKind, ref)).metadata.finalizers, [others]);
      await api.client.patchMetadata(backupKind, ref, { finalizers: [] }, call);
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
    });

    it("is gone when it is replaced without its finalizer", async () => {
      const { ref, before } = await deleting(api, [finalizer]);
      const { finalizers: _, ...metadata } = before.metadata;
      await api.client.replace(backupKind, { ...before, metadata }, call);
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
    });

    it("takes a status and a changed spec, and no new finalizer", async () => {
      const { ref, before } = await deleting(api, [finalizer]);
      const status = { observedGeneration: 2, attempts: 1 };
      const { uid } = before.metadata;
      const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
      assert.deepEqual(written.status, status);
      const spec = { ...written.spec, deletionPolicy: "Delete" as const };
      const changed = await api.client.replace(backupKind, { ...written, spec }, call);
      assert.equal(changed.metadata.generation, 3);
      await assert.rejects(
        api.client.patchMetadata(backupKind, ref, { finalizers: [finalizer, others] }, call),
        { code: "InvalidConfiguration" },
      );
    });
  });
}
