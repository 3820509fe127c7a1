import assert from "node:assert/strict";
import { it } from "node:test";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { Catalogs } from "./catalogs.ts";

const ref = { namespace: "ns", name: "s" };
const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);

it("a store has one catalog until its spec changes or it is made again under its name", () => {
  const api = memoryApi();
  const create = () => api.create(stores, { metadata: ref, spec: { s3: { bucket: "backups" } } });
  const read = () => api.object(stores, ref) ?? assert.fail("the store does not exist");
  const catalogs = new Catalogs(() => new Date());
  const open = async () => memoryStore();
  create();
  assert.equal(catalogs.find(read()), undefined);
  const first = catalogs.of(read(), open);
  api.change(stores, ref, ({ status }) => {
    status.backups = 1;
  });
  assert.equal(catalogs.of(read(), open), first);
  api.change(stores, ref, ({ spec }) => {
    spec.accessMode = "ReadOnly";
  });
  assert.equal(catalogs.find(read()), undefined);
  const second = catalogs.of(read(), open);
  assert.notEqual(second, first);
  api.remove(stores, ref);
  create();
  assert.equal(catalogs.find(read()), undefined);
  assert.notEqual(catalogs.of(read(), open), second);
  catalogs.forget(ref);
  assert.equal(catalogs.find(read()), undefined);
});
