import assert from "node:assert/strict";
import { it } from "node:test";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { storeOf } from "../core/store/store.fixture.ts";
import { memoryInformer } from "./informers.fixture.ts";
import { wakeVerifications } from "./verification-wake-ups.ts";

const verify = { schedule: "0 3 * * *", timeZone: "UTC", which: "Rotating" } as const;
const operator = (lease: string) => ({ lease, renewTime: "2026-08-20T12:00:00Z", durationSeconds: 900 });

it("a change of spec or holder stops the verification under way and begins anew, and a status does not", () => {
  const stores = memoryInformer<EtcdBackupStore>();
  const happened: string[] = [];
  wakeVerifications(
    { stores },
    { add: (key) => void happened.push(`add ${key}`) },
    { stop: (key) => void happened.push(`stop ${key}`) },
    new AbortController().signal,
  );
  const after = (store: EtcdBackupStore | undefined) => {
    happened.length = 0;
    stores.set("ns/s", store);
    return [...happened];
  };
  const both = ["stop ns/s", "add ns/s"];
  assert.deepEqual(after(storeOf()), []);
  assert.deepEqual(after(storeOf({ verify, status: { operator: operator("a") } })), both);
  assert.deepEqual(after(storeOf({ verify, status: { operator: operator("a"), backups: 3 } })), []);
  assert.deepEqual(after(storeOf({ verify, status: { operator: operator("b") } })), both);
  const changed = { verify, metadata: { generation: 2 }, status: { operator: operator("b") } };
  assert.deepEqual(after(storeOf(changed)), both);
  assert.deepEqual(after(storeOf({ ...changed, verify: undefined })), both);
  assert.deepEqual(after(undefined), []);
});
