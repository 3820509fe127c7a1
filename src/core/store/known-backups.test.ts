import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { backupOf, importOf } from "../backup/backup.fixture.ts";
import { formatBackupName } from "../backup/name.ts";
import { runIdOf } from "../backup/run-id.ts";
import { KnownBackups } from "./known-backups.ts";
import { importedLabel } from "./records.ts";

const uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const name = formatBackupName({ time: new Date(0), revision: 42, runId: runIdOf(uid, 2) });
const other = formatBackupName({ time: new Date(0), revision: 42, runId: "0123456789abx1" });
const location = "s3://backups?endpoint=http://s3";
const place = { namespace: "ns", store: "s", location, clusterName: "prod", name };

function withArtifact(backup: EtcdBackup, artifactName: string, storeURL?: string): EtcdBackup {
  const artifact = { name: artifactName, url: "u", ...(storeURL === undefined ? {} : { storeURL }) };
  return { ...backup, status: { ...backup.status, artifact } as EtcdBackup["status"] };
}

function known(...backups: EtcdBackup[]): KnownBackups {
  const all = new KnownBackups();
  for (const [at, backup] of backups.entries()) all.set(`ns/${at}`, backup);
  return all;
}

describe("a stored backup is known", () => {
  const cases: [string, EtcdBackup, boolean][] = [
    ["to the EtcdBackup whose run is in flight, or that has not recorded it", backupOf(), true],
    ["to the EtcdBackup that made it here", withArtifact(backupOf(), name, location), true],
    ["to one that an earlier release has recorded", withArtifact(backupOf(), name), true],
    ["to a record of it", importOf(name), true],
    [
      "to a record of it in another store of this location",
      withArtifact(importOf(name, { spec: { storeRef: { name: "t" } } }), name, location),
      true,
    ],
    ["not to one that was made elsewhere", withArtifact(backupOf(), name, "s3://old"), false],
    ["not to one that has made another", withArtifact(backupOf(), other, location), false],
    ["not to the record of another", importOf(other), false],
    ["not to a record of another store", importOf(name, { spec: { storeRef: { name: "t" } } }), false],
    ["not to another cluster's record", importOf(name, { spec: { clusterName: "lab" } }), false],
    ["not in another namespace", backupOf({ metadata: { namespace: "ns2" } }), false],
    [
      "not to an EtcdBackup of another UID",
      backupOf({ metadata: { uid: "aaaaaaaa-4b5a-6978-8796-a5b4c3d2e1f0" } }),
      false,
    ],
  ];
  for (const [title, backup, expected] of cases)
    it(title, () => {
      assert.equal(known(backup).isKnown(place), expected);
    });

  it("only as long as that EtcdBackup exists and is as it was", () => {
    const all = known(backupOf(), importOf(name));
    all.set("ns/0", undefined);
    assert.ok(all.isKnown(place));
    all.set("ns/1", importOf(other));
    assert.ok(!all.isKnown(place));
  });
});

describe("the records of a store", () => {
  it("are the imports with the label that are not being deleted", () => {
    const labels = { [importedLabel]: "true" };
    const all = known(
      importOf(name, { metadata: { labels, name: "r" } }),
      importOf(name, { metadata: { name: "by-hand" } }),
      importOf(name, { metadata: { labels, deletionTimestamp: "2026-08-20T12:00:00Z" } }),
      importOf(name, { metadata: { labels }, spec: { storeRef: { name: "t" } } }),
      backupOf({ metadata: { labels } }),
    );
    assert.deepEqual(
      all.recordsOf("ns", "s").map((record) => record.name),
      ["r"],
    );
    assert.deepEqual(all.recordsOf("ns2", "s"), []);
  });
});
