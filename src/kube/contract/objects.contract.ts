import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Api,
  applied,
  backupKind,
  call,
  existing,
  mergePatchAs,
  minimalBackup,
} from "./objects.fixture.ts";
import { leases } from "../leader/lease.ts";
import { configMaps, type KubeObject, type ResourceKind } from "../objects.ts";

export function createRules(api: Api): void {
  describe("an object that is created", () => {
    it("is given a uid, a version, generation 1 and its time in whole seconds", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const { metadata, apiVersion, kind } = await api.client.create(backupKind, minimalBackup(ref), call);
      assert.deepEqual([apiVersion, kind], ["etcdbackup.dev/v1alpha1", "EtcdBackup"]);
      assert.deepEqual([metadata.namespace, metadata.name], [ref.namespace, ref.name]);
      assert.match(metadata.uid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.notEqual(metadata.resourceVersion, "");
      assert.equal(metadata.generation, 1);
      assert.match(metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.ok(Math.abs(Date.parse(metadata.creationTimestamp) - Date.now()) < 60_000);
    });

    it("is read as it was answered, with labels, annotations and finalizers", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const metadata = { labels: { a: "1" }, annotations: { b: "2" }, finalizers: ["etcdbackup.dev/test"] };
      const created = await api.client.create(backupKind, minimalBackup(ref, metadata), call);
      assert.deepEqual(await api.client.get(backupKind, ref, call), created);
      const { labels, annotations, finalizers } = created.metadata;
      assert.deepEqual({ labels, annotations, finalizers }, metadata);
    });

    it("may have a name that is taken in another namespace or by another kind", async () => {
      const first = { namespace: await api.namespace(), name: "a" };
      const second = { namespace: await api.namespace(), name: "a" };
      const { uid } = (await api.client.create(backupKind, minimalBackup(first), call)).metadata;
      const other = await api.client.create(backupKind, minimalBackup(second), call);
      assert.notEqual(other.metadata.uid, uid);
      await api.client.create(configMaps, { metadata: first }, call);
      assert.equal((await existing(api.client, backupKind, first)).metadata.uid, uid);
    });

    it("gets a new version with its first write, which stores the default status, even if nothing else changes", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await api.client.create(backupKind, minimalBackup(ref), call);
      const replaced = await api.client.replace(backupKind, created, call);
      assert.notEqual(replaced.metadata.resourceVersion, created.metadata.resourceVersion);
      assert.deepEqual([replaced.spec, replaced.status], [created.spec, created.status]);
      assert.equal(replaced.metadata.generation, 1);
    });

    it("has no status but the default, whatever the draft says", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = { ...minimalBackup(ref), status: { observedGeneration: 7, attempts: 3 } };
      const created = await api.client.create(backupKind, draft, call);
      assert.deepEqual(created.status, { observedGeneration: -1 });
    });
  });
}

export function refusedCreateRules(api: Api): void {
  describe("an object that cannot be created as it is drafted", () => {
    it("is refused with AlreadyExists while the name is taken, and changes nothing", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await api.client.create(backupKind, minimalBackup(ref), call);
      await assert.rejects(api.client.create(backupKind, minimalBackup(ref, { labels: { a: "1" } }), call), {
        name: "OperatorError",
        code: "AlreadyExists",
      });
      assert.deepEqual(await api.client.get(backupKind, ref, call), created);
    });

    it("is refused with InvalidConfiguration when its name or a label has a forbidden form", async () => {
      const namespace = await api.namespace();
      const badName = minimalBackup({ namespace, name: "Not_A_Name" });
      const badLabel = minimalBackup({ namespace, name: "a" }, { labels: { a: "two words" } });
      for (const draft of [badName, badLabel]) {
        await assert.rejects(api.client.create(backupKind, draft, call), {
          code: "InvalidConfiguration",
          message: /metadata\.(name|labels): Invalid value/,
        });
      }
      assert.deepEqual((await api.client.list(backupKind, { namespace, ...call })).items, []);
    });
  });
}

export function readRules(api: Api): void {
  describe("an object that is not there", () => {
    it("is read as undefined", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
      assert.equal(await api.client.get(configMaps, ref, call), undefined);
    });

    it("is NotFound to every write that needs it", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const elsewhere = { ...ref, name: "b" };
      const created = await api.client.create(backupKind, minimalBackup(elsewhere), call);
      const missing = { ...created, metadata: { ...created.metadata, name: "a" } };
      for (const write of [
        () => api.client.patchMetadata(backupKind, ref, { labels: { a: "1" } }, call),
        () => api.client.replace(backupKind, missing, call),
        () => api.client.applyStatus(backupKind, ref, { status: { observedGeneration: 1 } }, call),
      ]) {
        await assert.rejects(write(), { name: "OperatorError", code: "NotFound" });
      }
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
    });
  });

  it("a kind that the server does not know is NotFound, not an absent object", async () => {
    const namespace = await api.namespace();
    const unknown: ResourceKind<KubeObject> = { ...backupKind, plural: "etcdgadgets", kind: "EtcdGadget" };
    for (const attempt of [
      () => api.client.get(unknown, { namespace, name: "a" }, call),
      () => api.client.list(unknown, { namespace, ...call }),
      () => api.client.create(unknown, minimalBackup({ namespace, name: "a" }), call),
    ]) {
      await assert.rejects(attempt(), {
        code: "NotFound",
        permanent: false,
        message: /etcdgadgets\.etcdbackup\.dev/,
      });
    }
  });

  it("a call whose signal has fired is not made", async () => {
    const ref = { namespace: await api.namespace(), name: "a" };
    const stopped = { signal: AbortSignal.abort() };
    await assert.rejects(api.client.create(backupKind, minimalBackup(ref), stopped), { name: "AbortError" });
    assert.equal(await api.client.get(backupKind, ref, call), undefined);
  });
}

export function replaceRules(api: Api): void {
  describe("an object that is replaced", () => {
    it("gets the next generation when its spec changes, and keeps its status", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      await api.client.create(backupKind, minimalBackup(ref), call);
      const status = { observedGeneration: 1, attempts: 2 };
      const before = await api.client.applyStatus(backupKind, ref, { status }, call);
      const wanted = {
        ...before,
        spec: { ...before.spec, deletionPolicy: "Delete" as const },
        status: { observedGeneration: 9 },
      };
      const after = await api.client.replace(backupKind, wanted, call);
      assert.equal(after.spec.deletionPolicy, "Delete");
      assert.equal(after.metadata.generation, 2);
      assert.notEqual(after.metadata.resourceVersion, before.metadata.resourceVersion);
      assert.deepEqual(after.status, status);
    });

    it("keeps its generation when only its metadata changes, and loses the labels left out", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const labels = { a: "1", b: "2" };
      const before = await api.client.create(backupKind, minimalBackup(ref, { labels }), call);
      const wanted = { ...before, metadata: { ...before.metadata, labels: { b: "3" } } };
      const after = await api.client.replace(backupKind, wanted, call);
      assert.deepEqual(after.metadata.labels, { b: "3" });
      assert.equal(after.metadata.generation, 1);
      assert.notEqual(after.metadata.resourceVersion, before.metadata.resourceVersion);
    });

    it("by what it is already keeps its version", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await api.client.create(backupKind, minimalBackup(ref), call);
      const before = await api.client.replace(backupKind, created, call);
      assert.deepEqual(await api.client.replace(backupKind, before, call), before);
      assert.deepEqual(await existing(api.client, backupKind, ref), before);
    });
  });
}

export function replaceConflictRules(api: Api): void {
  describe("an object that is replaced from an old copy", () => {
    it("is a Conflict when it has changed since its version, and stays as it is", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const stale = await api.client.create(backupKind, minimalBackup(ref), call);
      await api.client.applyStatus(backupKind, ref, { status: { observedGeneration: 1 } }, call);
      const before = await existing(api.client, backupKind, ref);
      const spec = { ...stale.spec, deletionPolicy: "Delete" as const };
      await assert.rejects(api.client.replace(backupKind, { ...stale, spec }, call), {
        name: "OperatorError",
        code: "Conflict",
        permanent: false,
      });
      assert.deepEqual(await existing(api.client, backupKind, ref), before);
    });

    it("has to name its version", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const before = await api.client.create(backupKind, minimalBackup(ref), call);
      const { resourceVersion: _, ...metadata } = before.metadata;
      const unversioned = { ...before, metadata } as typeof before;
      await assert.rejects(api.client.replace(backupKind, unversioned, call), {
        code: "InvalidConfiguration",
        message: /metadata\.resourceVersion/,
      });
    });

    it("is a Conflict when another object has taken the name", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const stale = await api.client.create(backupKind, minimalBackup(ref), call);
      await api.client.remove(backupKind, ref, call);
      const { metadata } = await api.client.create(backupKind, minimalBackup(ref), call);
      const { resourceVersion } = metadata;
      const renewed = { ...stale, metadata: { ...stale.metadata, resourceVersion } };
      for (const wanted of [stale, renewed]) {
        await assert.rejects(api.client.replace(backupKind, wanted, call), { code: "Conflict" });
      }
    });

    it("is renewed by one of two holders only, if it is a Lease", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const spec = { holderIdentity: "one", leaseDurationSeconds: 30 };
      const lease = await api.client.create(leases, { metadata: ref, spec }, call);
      const take = (holderIdentity: string) =>
        api.client.replace(leases, { ...lease, spec: { ...lease.spec, holderIdentity } }, call);
      const results = await Promise.allSettled([take("two"), take("three")]);
      assert.deepEqual(results.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    });
  });
}

export function applyRules(api: Api): void {
  describe("an object that is applied", () => {
    it("is created when it is not there", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await applied(api.client, backupKind, minimalBackup(ref, { labels: { a: "1" } }), call);
      assert.equal(created.metadata.generation, 1);
      assert.deepEqual(created.metadata.labels, { a: "1" });
      assert.equal(created.spec.deletionPolicy, "Retain");
      assert.deepEqual(created.status, { observedGeneration: -1 });
    });

    it("gets the next generation when its spec changes, and keeps its status", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = minimalBackup(ref);
      await applied(api.client, backupKind, draft, call);
      const status = { observedGeneration: 1, attempts: 1 };
      await api.client.applyStatus(backupKind, ref, { status }, call);
      const changed = { ...draft, spec: { ...draft.spec, deletionPolicy: "Delete" as const } };
      const after = await applied(api.client, backupKind, changed, call);
      assert.deepEqual([after.metadata.generation, after.spec.deletionPolicy], [2, "Delete"]);
      assert.deepEqual(after.status, status);
    });

    it("loses what is left out, and keeps what others have set", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const labels = { a: "1", b: "2" };
      await applied(api.client, backupKind, minimalBackup(ref, { labels }), call);
      const patch = { metadata: { labels: { other: "3" } } };
      await mergePatchAs(api.client, "somebody", { kind: backupKind, ref, patch });
      const after = await applied(api.client, backupKind, minimalBackup(ref, { labels: { b: "2" } }), call);
      assert.deepEqual(after.metadata.labels, { b: "2", other: "3" });
    });

    it("as it is already keeps its version", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = minimalBackup(ref, { labels: { a: "1" } });
      await applied(api.client, backupKind, draft, call);
      const before = await applied(api.client, backupKind, draft, call);
      assert.deepEqual(await applied(api.client, backupKind, draft, call), before);
    });

    it("may be of a built-in kind", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      await applied(api.client, configMaps, { metadata: ref, data: { a: "1", b: "2" } }, call);
      const { data } = await applied(api.client, configMaps, { metadata: ref, data: { b: "3" } }, call);
      assert.deepEqual(data, { b: "3" });
    });
  });
}
