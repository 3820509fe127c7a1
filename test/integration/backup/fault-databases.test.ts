import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { etcdBackup, etcdBackupJson, etcdFlags } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { filesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { checkStore } from "../../support/store-check.ts";

interface Saved {
  name: string;
  snapshot: { revision: number };
}

/** What is done to the database, one after the other, with what etcdctl needs from then on. */
const stages: [string, (cluster: EtcdCluster) => Promise<void>][] = [
  ["nothing was ever written", async () => {}],
  [
    "values of 1.4 MB, each over hundreds of pages",
    async ({ etcdctl }) => {
      for (const key of ["a", "b", "c"]) await etcdctl(["put", key], { input: key.repeat(1_400_000) });
      await etcdctl(["put", "b", "small"]);
      await etcdctl(["compact", "4", "--physical"]);
      await etcdctl(["put", "d"], { input: "d".repeat(1_400_000) });
    },
  ],
  [
    "leases, with keys and without, and one that has expired",
    async ({ etcdctl }) => {
      const grant = async (seconds: number) =>
        /lease ([0-9a-f]+) granted/.exec(await etcdctl(["lease", "grant", String(seconds)]))?.[1] ?? "";
      await etcdctl(["put", "leased", "x", "--lease", await grant(3600)]);
      await grant(3600);
      const revoked = await grant(3600);
      await etcdctl(["put", "gone", "x", "--lease", revoked]);
      await etcdctl(["lease", "revoke", revoked]);
    },
  ],
  ["its space is used up: NOSPACE", async (cluster) => assert.rejects(fill(cluster, 30), /space exceeded/)],
  [
    "authentication is on",
    async ({ etcdctl }) => {
      await etcdctl(["user", "add", "root:pass"]);
      await etcdctl(["user", "grant-role", "root", "root"]);
      await etcdctl(["auth", "enable"]);
    },
  ],
];

test("whatever is in the database and its alarms, it is saved, proven, and etcdutl says the same of it", async (t) => {
  await using cluster = await startEtcd({ extraArgs: ["--quota-backend-bytes=20971520"] });
  await using dir = await tempDir("databases");
  const url = `file://${dir.path}/store`;
  await mkdir(join(dir.path, "store"));
  const store = ["--store", url];
  const env = { ETCDCTL_PASSWORD: "pass" };
  for (const [what, write] of stages) {
    await t.test(what, async () => {
      await write(cluster);
      const user = what.startsWith("authentication") ? ["--user", "root"] : [];
      const save = ["save", ...store, "--cluster-name", "lab", ...etcdFlags(cluster), ...user];
      const { name } = await etcdBackupJson<Saved>(save, env);
      const file = join(dir.path, `${name}.db`);
      assert.equal((await etcdBackup(["fetch", name, ...store, "-o", file])).code, 0);
      const theirs: object = JSON.parse(await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]));
      const ours = await etcdBackupJson<object>(["status", name, ...store]);
      assert.deepEqual({ ...ours, ...theirs }, ours);
    });
  }
  const { backups, leftovers } = await checkStore({ url, env: {} });
  assert.equal(backups.length, stages.length);
  assert.deepEqual(leftovers, []);
});

test("with authentication on, no user, a wrong password and a user without the role root: each is told, nothing is stored", async (t) => {
  await using cluster = await startEtcd({ auth: { username: "root", password: "pass" } });
  await cluster.etcdctl(["user", "add", "reader:reading"]);
  await cluster.etcdctl(["role", "add", "reads"]);
  await cluster.etcdctl(["role", "grant-permission", "reads", "read", "/", "--prefix"]);
  await cluster.etcdctl(["user", "grant-role", "reader", "reads"]);
  const cases: [string, string[], RegExp][] = [
    ["no user", [], /: was refused: etcd requires authentication, and no user was given\)/],
    [
      "a wrong password",
      ["--user", "root:wrong"],
      /: authentication was refused: authentication failed, invalid user ID or password\)/,
    ],
    [
      "a user without the role root",
      ["--user", "reader:reading"],
      /snapshot at \S+ was refused: permission denied\n +hint: .*root role/,
    ],
  ];
  for (const [what, user, says] of cases) {
    await t.test(what, async () => {
      await using dir = await tempDir("refused");
      const save = ["save", "--store", `file://${dir.path}`, "--cluster-name", "lab"];
      const { code, stderr } = await etcdBackup([...save, ...etcdFlags(cluster), ...user]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.deepEqual(await filesBelow(dir.path), []);
    });
  }
});
