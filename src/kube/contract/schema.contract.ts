import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import {
  type Api,
  backupKind,
  call,
  existing,
  minimalBackup,
  minimalRestore,
  minimalStore,
  restoreKind,
  storeKind,
} from "./objects.fixture.ts";

const defaultStatus = { observedGeneration: -1 };

const backupSpec: EtcdBackup["spec"] = {
  clusterName: "prod",
  etcd: {
    endpoints: ["https://10.0.0.11:2379"],
    memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
  },
  storeRef: { name: "s3" },
  compression: "Zstd",
  verification: { readBack: false, hashKV: "WhenAvailable" },
  deletionPolicy: "Retain",
  timeoutSeconds: 3600,
  backoffLimit: 3,
};

const storeSpec: EtcdBackupStore["spec"] = {
  s3: { bucket: "backups", forcePathStyle: false, checksum: "Auto", versions: "Keep" },
  accessMode: "ReadWrite",
  catalog: { import: true, importLimit: 30 },
};

const restoreSpec: EtcdRestore["spec"] = {
  source: { store: { storeRef: { name: "s3" }, clusterName: "prod", backup: "latest" } },
  target: {
    cluster: {
      name: "prod",
      replicas: 3,
      image: "registry.k8s.io/etcd:3.6.5",
      imagePullPolicy: "IfNotPresent",
      storage: { size: "8Gi" },
    },
  },
  revisionBump: 1_000_000_000,
  timeoutSeconds: 3600,
  backoffLimit: 3,
};

export function defaultRules(api: Api): void {
  describe("the defaults of the schema", () => {
    it("fill in an EtcdBackup that says only what it has to", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await api.client.create(backupKind, minimalBackup(ref), call);
      assert.deepEqual([created.spec, created.status], [backupSpec, defaultStatus]);
    });

    it("fill in an EtcdBackupStore that says only what it has to", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await api.client.create(storeKind, minimalStore(ref), call);
      assert.deepEqual([created.spec, created.status], [storeSpec, defaultStatus]);
    });

    it("fill in an EtcdRestore that says only what it has to", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const created = await api.client.create(restoreKind, minimalRestore(ref), call);
      assert.deepEqual([created.spec, created.status], [restoreSpec, defaultStatus]);
    });

    it("fill in objects that are given in part, and change nothing that is given", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = minimalBackup(ref);
      const spec = {
        ...draft.spec,
        etcd: { service: { name: "etcd" }, memberSelection: { maxLag: 0 } },
        verification: { readBack: true },
        backoffLimit: 0,
      } as unknown as EtcdBackup["spec"];
      const created = await api.client.create(backupKind, { ...draft, spec }, call);
      assert.deepEqual(created.spec.etcd, {
        service: { name: "etcd", port: 2379, scheme: "https" },
        memberSelection: { prefer: "Follower", maxLag: 0, allowWithoutQuorum: false },
      });
      assert.deepEqual(created.spec.verification, { readBack: true, hashKV: "WhenAvailable" });
      assert.equal(created.spec.backoffLimit, 0);
    });

    it("come back when a field is left out of the object that replaces it", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = minimalBackup(ref);
      const deletionPolicy = "Delete" as const;
      const before = await api.client.create(
        backupKind,
        { ...draft, spec: { ...draft.spec, deletionPolicy } },
        call,
      );
      const after = await api.client.replace(backupKind, { ...before, spec: draft.spec }, call);
      assert.deepEqual(after.spec, backupSpec);
      assert.equal(after.metadata.generation, 2);
    });
  });
}

export function validationRules(api: Api): void {
  describe("the schema", () => {
    it("leaves out fields that it does not know, except inside opaque objects", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = minimalRestore(ref);
      const affinity = { nodeAffinity: { anything: [1, "x"] } };
      const cluster = { ...draft.spec.target.cluster, podTemplate: { affinity, unknown: 1 } };
      const spec = { ...draft.spec, target: { cluster }, unknown: {} };
      const created = await api.client.create(restoreKind, { ...draft, spec }, call);
      const wanted = { cluster: { ...restoreSpec.target.cluster, podTemplate: { affinity } } };
      assert.deepEqual(created.spec, { ...restoreSpec, target: wanted });
    });

    const refused: [string, object, RegExp][] = [
      ["a field that is required and missing", { clusterName: undefined }, /spec\.clusterName/],
      ["a value of another type", { backoffLimit: "3" }, /spec\.backoffLimit/],
      ["a fraction where an integer is wanted", { backoffLimit: 1.5 }, /spec\.backoffLimit/],
      ["a number that is too large", { backoffLimit: 11 }, /spec\.backoffLimit/],
      ["a number that is too small", { timeoutSeconds: 9 }, /spec\.timeoutSeconds/],
      ["a value that the list does not name", { compression: "Gzip" }, /spec\.compression/],
      ["a text that is too long", { maxRate: "1".repeat(17) }, /spec\.maxRate/],
      ["a list that is too short", { etcd: { endpoints: [] } }, /spec\.etcd\.endpoints/],
      ["a missing field of a nested object", { storeRef: {} }, /spec\.storeRef\.name/],
    ];
    it("refuses with InvalidConfiguration, naming the field, and creates nothing", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const draft = minimalBackup(ref);
      for (const [what, change, message] of refused) {
        const spec = { ...draft.spec, ...change } as EtcdBackup["spec"];
        await assert.rejects(
          api.client.create(backupKind, { ...draft, spec }, call),
          { name: "OperatorError", code: "InvalidConfiguration", permanent: true, message },
          what,
        );
      }
      assert.equal(await api.client.get(backupKind, ref, call), undefined);
    });

    it("refuses a change in the same way, and leaves the object as it is", async () => {
      const ref = { namespace: await api.namespace(), name: "a" };
      const before = await api.client.create(backupKind, minimalBackup(ref), call);
      const spec = { ...before.spec, deletionPolicy: "Maybe" } as unknown as EtcdBackup["spec"];
      await assert.rejects(api.client.replace(backupKind, { ...before, spec }, call), {
        code: "InvalidConfiguration",
        message: /spec\.deletionPolicy/,
      });
      assert.deepEqual(await existing(api.client, backupKind, ref), before);
    });
  });
}
