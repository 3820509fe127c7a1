import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import { listBackups } from "./list.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { type RestoreRecord, readRestoreRecord, writeRestoreRecord } from "./restore-record.ts";

const { signal } = new AbortController();
const at = { clusterName: "prod", uid: "7f6d4c9e", signal };
const record: RestoreRecord = {
  formatVersion: 1,
  uid: at.uid,
  namespace: "ns",
  name: "back",
  backup: "20260820T020000Z-r00000000000000004711-k3v9x2",
  target: "back",
  token: "fresh",
  completedAt: "2026-08-20T12:00:00Z",
};

describe("the record of a restore that has ended", () => {
  it("is read as it was written, and is not listed as a backup", async () => {
    const store = memoryStore();
    await writeRestoreRecord(store, "prod", record, signal);
    assert.deepEqual(await readRestoreRecord(store, at), record);
    assert.deepEqual(await listBackups(store, { signal }), []);
  });

  it("is undefined for another restore or another cluster", async () => {
    const store = memoryStore();
    await writeRestoreRecord(store, "prod", record, signal);
    assert.equal(await readRestoreRecord(store, { ...at, uid: "other" }), undefined);
    assert.equal(await readRestoreRecord(store, { ...at, clusterName: "stage" }), undefined);
  });

  it("is written once, and a second write succeeds and changes nothing", async () => {
    const store = memoryStore();
    await writeRestoreRecord(store, "prod", record, signal);
    await writeRestoreRecord(store, "prod", { ...record, completedAt: "later" }, signal);
    assert.deepEqual(await readRestoreRecord(store, at), record);
  });

  it("throws when it cannot be read, and is not reported as missing", async () => {
    const store = memoryStore();
    for (const content of ["", "{", "{}", '{"formatVersion":1}', "x".repeat(70_000)]) {
      store.objects.set(`prod/restores/${at.uid}.json`, Buffer.from(content));
      await assert.rejects(
        readRestoreRecord(store, at),
        { code: "VerificationFailed" },
        content.slice(0, 40),
      );
    }
    const later = '{"formatVersion":2,"completedAt":"x"}';
    store.objects.set(`prod/restores/${at.uid}.json`, Buffer.from(later));
    await assert.rejects(readRestoreRecord(store, at), { code: "Refused", hint: /newer one/ });
    store.beforeCall = () => {
      throw new OperatorError("Unreachable", "no network");
    };
    await assert.rejects(readRestoreRecord(store, at), { code: "Unreachable" });
  });
});
