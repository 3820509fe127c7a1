import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type RestoreCommand, type RestoreOutput, restoreReport } from "./report.ts";
import { layoutOf } from "./layout.ts";

const url = "s3://backups/clusters/lab/20260820T120000Z-r00000000000000000004-297ac9c21054";
const bump = 1_000_000_000;
const next =
  "start etcd on every member, with the same name and peer URLs, then compare the members: etcdctl endpoint hashkv --cluster";

function result(initialCluster: string, members: RestoreOutput["members"]): RestoreOutput {
  return {
    backup: url,
    revision: 4,
    nextRevision: 4 + bump,
    token: "restored-1",
    clusterID: "beef",
    initialCluster,
    members,
  };
}

const one = result("m1=http://a:2380", [{ name: "m1", dataDir: "/data" }]);
const three = "m1=http://a:2380,m2=http://b:2380,m10=http://c:2380";

/** A command that has restored m1 of three into /data. */
function command(changes: Omit<Partial<RestoreCommand>, "flags"> & { flags?: object } = {}): RestoreCommand {
  return {
    text: "latest",
    kind: "stored",
    isIntroduced: true,
    layout: layoutOf({ name: "m1", dataDir: "/data", initialCluster: three }),
    ...changes,
    flags: { dataDir: "/data", bumpRevision: String(bump), ...changes.flags },
  };
}

/** The commands for the members that are still to be restored. */
function commands(changes: Parameters<typeof command>[0] = {}): string[] {
  const report = restoreReport(result(three, [{ name: "m1", dataDir: "/data" }]), command(changes));
  return report.split("\n").filter((line) => line.startsWith("  etcd-backup restore "));
}

const members = (name: string): string =>
  `--name ${name} --initial-cluster ${three} --initial-cluster-token restored-1`;

describe("the report of a restore", () => {
  it("tells what was restored where, from which backup, and how revisions go on", () => {
    const layout = layoutOf({ dataDir: "/data", name: "m1", initialCluster: one.initialCluster });
    assert.equal(
      restoreReport(one, command({ layout })),
      `RESTORED  m1  /data
BACKUP    ${url}
REVISION  4, raised to 1000000004: older watches end with ErrCompacted
TOKEN     restored-1
CLUSTER   beef

Next: ${next}
`,
    );
  });

  it("tells how the old cluster's folder is given to a new cluster that the store does not know", () => {
    const layout = layoutOf({ dataDir: "/data", name: "m1", initialCluster: one.initialCluster });
    const report = restoreReport(one, command({ layout, isIntroduced: false }));
    assert.match(report, /etcd-backup claim take .* --etcd-cluster-id beef$/m);
  });

  it("has one revision where none were skipped", () => {
    const report = restoreReport({ ...one, nextRevision: 4 }, command());
    assert.match(report, /^REVISION {2}4$/m);
  });

  it("has a line for each member, with WAL directories, in columns", () => {
    const all = layoutOf({ allMembers: true, initialCluster: three, dataDirTemplate: "/data/{name}" });
    const restored = result(three, [
      { name: "m1", dataDir: "/data/m1", walDir: "/log/m1" },
      { name: "m2", dataDir: "/data/m2" },
      { name: "m10", dataDir: "/data/m10" },
    ]);
    const lines = restoreReport(restored, command({ layout: all })).split("\n");
    assert.deepEqual(lines.slice(0, 3), [
      "RESTORED  m1   /data/m1, log in /log/m1",
      "          m2   /data/m2",
      "          m10  /data/m10",
    ]);
    assert.equal(lines.at(-2), `Next: ${next}`);
  });
});

describe("the commands for the members that are still to be restored", () => {
  it("name each of them, the same cluster and token, and this very backup", () => {
    assert.deepEqual(commands(), [
      `  etcd-backup restore ${url} --data-dir /data ${members("m2")}`,
      `  etcd-backup restore ${url} --data-dir /data ${members("m10")}`,
    ]);
  });

  it("repeat the store where its flag has the settings", () => {
    const store = "s3://backups/clusters?region=eu";
    const [first] = commands({ flags: { store } });
    assert.equal(first, `  etcd-backup restore ${url} --store '${store}' --data-dir /data ${members("m2")}`);
  });

  it("repeat the settings where the backup's URL has them", () => {
    const [first] = commands({
      text: "s3://backups/clusters/lab/latest?region=eu",
      flags: { store: "s3://other" },
    });
    assert.equal(first, `  etcd-backup restore '${url}?region=eu' --data-dir /data ${members("m2")}`);
  });

  it("name a file as it was named, whatever is in its name", () => {
    const file = "it's here?.db";
    const restored = { ...result(three, [{ name: "m1", dataDir: "/data" }]), backup: file };
    const report = restoreReport(
      restored,
      command({ text: file, kind: "file", flags: { store: "s3://other" } }),
    );
    assert.ok(
      report.includes(`  etcd-backup restore 'it'\\''s here?.db' --data-dir /data ${members("m2")}\n`),
      report,
    );
  });

  it("repeat the directories, the tool and a bump that is not the default", () => {
    const flags = { dataDir: "/my data", walDir: "/log", etcdutl: "./etcdutl", bumpRevision: "0" };
    const [first] = commands({ flags });
    const where = "--data-dir '/my data' --wal-dir /log --etcdutl ./etcdutl --bump-revision 0";
    assert.equal(first, `  etcd-backup restore ${url} ${where} ${members("m2")}`);
  });
});
