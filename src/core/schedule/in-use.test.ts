import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backupOf } from "../backup/backup.fixture.ts";
import { runConditions } from "../conditions.ts";
import { restoreOf, restoredSource } from "../restore/restore.fixture.ts";
import { backupsInUse } from "./in-use.ts";

const { name } = restoredSource;
const artifact = {
  name,
  url: restoredSource.url,
  manifestURL: "s3://bucket/prod/any.json",
  storedBytes: 1000,
  compression: "Zstd",
  crc32c: "00000000",
  proof: "ReadBack",
} as const;

function inUse(...restores: ReturnType<typeof restoreOf>[]): string[] {
  const backup = backupOf();
  const newest = { ...backup, status: { ...backup.status, artifact } };
  return [...backupsInUse(restores, { newest, children: [newest] })].map((entry) => entry.join(": "));
}

const conditions = runConditions(
  [],
  "Succeeded",
  { reason: "Succeeded", message: "" },
  { generation: 1, now: new Date("2026-08-20T12:00:00Z") },
);
const source = { store: { storeRef: { name: "s" }, clusterName: "prod", backup: name } };
const elsewhere = { ...restoredSource, url: "s3://another/prod/20260820T020000Z-k3v9x2.db.zst" };

describe("a backup is in use", () => {
  const cases: [string, ReturnType<typeof restoreOf>, string[]][] = [
    ["while a restore names its EtcdBackup", restoreOf(), [`${name}: EtcdRestore r reads it`]],
    [
      "while a restore names it in the store",
      restoreOf({ spec: { source } }),
      [`${name}: EtcdRestore r reads it`],
    ],
    [
      "while a restore reads it that named latest",
      restoreOf({
        spec: { source: { store: { ...source.store, backup: "latest" } } },
        status: { observedGeneration: 1, source: restoredSource },
      }),
      [`${name}: EtcdRestore r reads it`],
    ],
    [
      "while a restore of another namespace has verified it here, without a word about that one",
      restoreOf({
        metadata: { namespace: "other" },
        status: { observedGeneration: 1, source: restoredSource },
      }),
      [`${name}: an EtcdRestore reads it`],
    ],
    [
      "not when another namespace only names it",
      restoreOf({ metadata: { namespace: "other" }, spec: { source } }),
      [],
    ],
    [
      "not when it is read in another store",
      restoreOf({ status: { observedGeneration: 1, source: elsewhere } }),
      [],
    ],
    [
      "not once the restore has ended",
      restoreOf({ status: { observedGeneration: 1, source: restoredSource, conditions } }),
      [],
    ],
    [
      "not by a restore of an unknown EtcdBackup",
      restoreOf({ spec: { source: { backupRef: { name: "x" } } } }),
      [],
    ],
  ];
  for (const [title, restore, expected] of cases) it(title, () => assert.deepEqual(inUse(restore), expected));
});
