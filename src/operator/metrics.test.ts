import assert from "node:assert/strict";
import { test } from "node:test";
import type { EtcdBackup, EtcdBackupStatus } from "../api/v1alpha1/etcd-backup.ts";
import { storeOf } from "../core/store/store.fixture.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { backupOf, importOf } from "../core/backup/backup.fixture.ts";
import type { LatestBackup } from "../telemetry/metrics.ts";
import { memoryInformer } from "./informers.fixture.ts";
import { followResources } from "./metrics.ts";

function ended(name: string, minute: number, succeeded: "True" | "False", clusterName = "prod"): EtcdBackup {
  const at = new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
  const status: EtcdBackupStatus = {
    observedGeneration: 1,
    conditions: [
      {
        type: "Succeeded",
        status: succeeded,
        observedGeneration: 1,
        reason: "Succeeded",
        message: "",
        lastTransitionTime: at,
      },
    ],
    startTime: at,
    completionTime: at,
    ...(succeeded === "True"
      ? {
          snapshot: {
            revision: minute,
            hash: "0",
            totalKeys: 1,
            pairs: 1,
            liveKeys: 1,
            totalSizeBytes: 1,
            size: "1 B",
            sha256: "",
            etcdVersion: "3.6.1",
            clusterID: "c",
          },
          artifact: {
            name,
            url: "",
            manifestURL: "",
            storedBytes: 1,
            compression: "Zstd",
            crc32c: "",
            proof: "ReadBack",
          },
        }
      : {}),
  };
  return backupOf({ metadata: { name }, spec: { clusterName }, status });
}

/** The same as the record of an imported backup. */
function imported(...of: Parameters<typeof ended>): EtcdBackup {
  const { metadata, status } = ended(...of);
  return importOf(metadata.name, { metadata, status });
}

function follow() {
  const backups = memoryInformer<EtcdBackup>();
  const stores = memoryInformer<EtcdBackupStore>();
  const latest = new Map<string, LatestBackup | undefined>();
  const verifications = new Map<string, unknown>();
  followResources(
    {
      latestBackup: ({ namespace, cluster }, value) => void latest.set(`${namespace}/${cluster}`, value),
      storeReady() {},
      verification: ({ store }, state) => void verifications.set(store, state),
    },
    { backups, stores },
  );
  const set = (backup: EtcdBackup) => backups.set(`ns/${backup.metadata.name}`, backup);
  return {
    backups,
    stores,
    latest,
    verifications,
    set,
    revision: () => latest.get("ns/prod")?.success?.revision,
  };
}

test("the newest success and the newest failure are shown in any order of changes", () => {
  const { backups, latest, set, revision } = follow();
  set(ended("b", 2, "True"));
  set(ended("c", 3, "True"));
  set(ended("a", 1, "True"));
  set(ended("f", 4, "False"));
  assert.equal(revision(), 3);
  assert.equal(latest.get("ns/prod")?.failedAt?.toISOString(), "2026-01-01T00:04:00.000Z");
  backups.set("ns/c", undefined);
  assert.equal(revision(), 2);
  for (const name of ["a", "b", "f"]) backups.set(`ns/${name}`, undefined);
  assert.equal(latest.get("ns/prod"), undefined);
});

test("an imported backup is as old as the backup, and one that could not be imported is no failed backup", () => {
  const { latest, set, revision } = follow();
  set(imported("old", 1, "True"));
  set(imported("missing", 9, "False"));
  assert.equal(latest.get("ns/prod")?.success?.completedAt.toISOString(), "2026-01-01T00:01:00.000Z");
  assert.equal(latest.get("ns/prod")?.failedAt, undefined);
  set(ended("made", 2, "True"));
  set(imported("older", 0, "True"));
  assert.equal(revision(), 2);
});

test("a name that is used again for another cluster leaves the cluster before", () => {
  const { latest, set, revision } = follow();
  set(ended("a", 1, "True"));
  set(ended("a", 2, "True", "other"));
  assert.ok(latest.has("ns/prod"));
  assert.equal(revision(), undefined);
  assert.equal(latest.get("ns/other")?.success?.revision, 2);
});

test("10,000 backups are each read a few times at the start, at a relist and at their end", () => {
  const { backups, set } = follow();
  let reads = 0;
  for (let i = 0; i < 10_000; i++) {
    const { status, ...rest } = ended(`b-${i}`, i, "True");
    set({
      ...rest,
      get status() {
        reads += 1;
        assert.ok(reads <= 10 * 10_000, "more reads than a constant for each change");
        return status;
      },
    });
  }
  backups.relist();
  for (let i = 9_999; i >= 0; i--) backups.set(`ns/b-${i}`, undefined);
  assert.ok(reads >= 10_000);
});

test("the failures of a store and its last success are those of its status, and end with the store", () => {
  const { stores, verifications } = follow();
  stores.set("ns/s", storeOf());
  assert.equal(verifications.get("s"), undefined);
  const verification = { failed: 2, lastSuccessfulTime: "2026-08-20T12:00:00Z" };
  stores.set("ns/s", storeOf({ status: { verification } }));
  assert.deepEqual(verifications.get("s"), { failed: 2, succeededAt: new Date("2026-08-20T12:00:00Z") });
  stores.set("ns/s", undefined);
  assert.equal(verifications.get("s"), undefined);
});
