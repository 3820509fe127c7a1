import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { etcdBackup, etcdBackupJson } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { saveArgs } from "../../support/save-command.ts";
import { assertHoldsBackups } from "../../support/store-check.ts";

interface Saved {
  name: string;
  snapshot: { revision: number };
}

/** Changes of one database, made one after the other. */
const stages: [string, (cluster: EtcdCluster) => Promise<void>][] = [
  ["nothing was ever written", async () => {}],
  [
    "values of 1.4 MB, which take hundreds of pages each",
    async ({ etcdctl }) => {
      for (const key of ["a", "b", "c"]) await etcdctl(["put", key], { input: key.repeat(1_400_000) });
      await etcdctl(["put", "b", "small"]);
      await etcdctl(["compact", "4", "--physical"]);
      await etcdctl(["put", "d"], { input: "d".repeat(1_400_000) });
    },
  ],
  [
    "leases with and without keys, and a revoked lease",
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
  [
    "its quota is used up and the NOSPACE alarm is raised",
    async (cluster) => assert.rejects(fill(cluster, 30), /space exceeded/),
  ],
  [
    "authentication is enabled",
    async ({ etcdctl }) => {
      await etcdctl(["user", "add", "root:pass"]);
      await etcdctl(["user", "grant-role", "root", "root"]);
      await etcdctl(["auth", "enable"]);
    },
  ],
];

test("save stores any database, and etcdutl gives the same status for it", async (t) => {
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
      const { name } = await etcdBackupJson<Saved>([...saveArgs(cluster, url), ...user], env);
      const file = join(dir.path, `${name}.db`);
      assert.equal((await etcdBackup(["fetch", name, ...store, "-o", file])).code, 0);
      const fromEtcdutl: object = JSON.parse(
        await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]),
      );
      const status = await etcdBackupJson<object>(["status", name, ...store]);
      assert.deepEqual({ ...status, ...fromEtcdutl }, status);
    });
  }
  await assertHoldsBackups({ url, env: {} }, stages.length);
});

test("with authentication enabled, save without valid credentials gives the reason and stores nothing", async (t) => {
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
      const save = saveArgs(cluster, `file://${dir.path}`);
      const { code, stderr } = await etcdBackup([...save, ...user]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.deepEqual(await backupFilesBelow(dir.path), []);
    });
  }
});
