import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RestoreOutput } from "../../../src/cli/restore/report.ts";
import type { EtcdMinor } from "../../harness/binaries.ts";
import { etcdBackup, etcdBackupPath } from "../../harness/etcd-backup.ts";
import type { EtcdCluster } from "../../harness/etcd-cluster.ts";
import { run, tempDir } from "../../harness/process.ts";
import { assertSameHashKV, keyValues, revisionOf } from "../../support/cluster-state.ts";
import { filesBelow } from "../../support/files.ts";
import { type Plan, bootRestored, planMembers, restoreAll, toolFlags } from "../../support/restore.ts";
import { type Source, bump, directoryWarnings, leaseSeconds, startSource } from "./source.ts";

describe("a cluster restored from a backup", { timeout: 300_000 }, () => {
  let directory: { path: string } & AsyncDisposable;
  const sources = new Map<EtcdMinor, Source>();
  before(async () => {
    directory = await tempDir("restore");
    for (const minor of ["3.4", "3.5", "3.6"] as const)
      sources.set(minor, await startSource(minor, directory.path));
  });
  after(async () => {
    for (const source of sources.values()) await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  type Restore = (source: Source, minor: EtcdMinor, place: string, plan: Plan) => Promise<RestoreOutput>;
  const ways: Record<string, { members: number; restore: Restore }> = {
    "one member from a plain file": {
      members: 1,
      async restore({ store }, minor, place, plan) {
        const file = join(place, "a file.db");
        const fetched = await etcdBackup(["fetch", "latest", "--store", store, "-o", file]);
        assert.equal(fetched.code, 0, fetched.stderr);
        return restoreAll(place, plan, [file, ...(await toolFlags(minor))]);
      },
    },
    "one member from a .zst file": {
      members: 1,
      async restore({ store }, minor, place, plan) {
        const folder = new URL(`${store}/`).pathname;
        const object = (await filesBelow(folder)).find((name) => name.endsWith(".db.zst")) ?? "";
        return restoreAll(place, plan, [join(folder, object), ...(await toolFlags(minor))]);
      },
    },
    "three members, by the command lines that the first restore printed": {
      members: 3,
      restore: ({ store }, minor, place, plan) => oneByOne(store, minor, place, plan),
    },
    "five members at once": {
      members: 5,
      restore: async ({ store }, minor, place, plan) =>
        restoreAll(place, plan, ["latest", "--store", store, ...(await toolFlags(minor))]),
    },
  };
  const matrix: [EtcdMinor, keyof typeof ways][] = [
    ["3.4", "one member from a .zst file"],
    ["3.5", "one member from a plain file"],
    ["3.6", "one member from a .zst file"],
    ["3.6", "one member from a plain file"],
    ["3.4", "three members, by the command lines that the first restore printed"],
    ["3.5", "three members, by the command lines that the first restore printed"],
    ["3.6", "three members, by the command lines that the first restore printed"],
    ["3.4", "five members at once"],
    ["3.5", "five members at once"],
    ["3.6", "five members at once"],
  ];
  for (const [minor, how] of matrix) {
    it(`etcd ${minor}, ${how}: has the state of the snapshot and no later change`, async () => {
      const source = sources.get(minor);
      const way = ways[how];
      assert.ok(source !== undefined && way !== undefined);
      await using place = await tempDir("restored");
      const plan = await planMembers(place.path, way.members);
      const result = await way.restore(source, minor, place.path, plan);
      await using cluster = await bootRestored({ minor, members: plan.members });

      assert.equal(result.revision, source.revision);
      assert.equal(await keyValues(cluster), source.keyValues);
      const firstRevision = await revisionOf(cluster);
      assert.equal(firstRevision, result.nextRevision);
      await assertRevisions(cluster, minor, source, firstRevision);
      await assertLease(cluster, source.lease);
      await cluster.etcdctl(["put", "/written", "to the restored cluster"]);
      await assertSameHashKV(cluster);
      const members = await cluster.etcdctl(["member", "list"]);
      assert.equal(members.trim().split("\n").length, way.members, members);
      assert.deepEqual(directoryWarnings(cluster), []);
    });
  }
});

/** Restores the first member, and the others by the command lines that this prints, as on three hosts. */
async function oneByOne(store: string, minor: EtcdMinor, place: string, plan: Plan): Promise<RestoreOutput> {
  const dataDir = join(place, "here");
  const [first, ...others] = plan.members;
  assert.ok(first !== undefined);
  const args = ["restore", "latest", "--store", store, ...(await toolFlags(minor)), "--data-dir", dataDir];
  const who = ["--name", first.name, "--initial-cluster", plan.initialCluster];
  const { code, stdout, stderr } = await etcdBackup([...args, ...who]);
  assert.equal(code, 0, stderr);
  first.dataDir = dataDir;
  const lines = stdout.split("\n").filter((line) => line.startsWith("  etcd-backup restore "));
  assert.equal(lines.length, others.length, stdout);
  let last: RestoreOutput | undefined;
  for (const [index, line] of lines.entries()) {
    // On other hosts the path would be the same. This is one host, so that each member gets its own.
    const other = others[index];
    assert.ok(other !== undefined && line.includes(` --name ${other.name} `), line);
    other.dataDir = join(place, `host-${index}`);
    const command = line.replace("etcd-backup", etcdBackupPath).replace(dataDir, other.dataDir);
    const ran = await run("sh", ["-c", `${command} -o json`]);
    assert.equal(ran.code, 0, `${command}\n${ran.stderr}`);
    last = JSON.parse(ran.stdout) as RestoreOutput;
    assert.ok(stdout.includes(last.token), "the token that was printed");
  }
  assert.ok(last !== undefined);
  return last;
}

/** Revisions continue beyond the bump, and a watch from an older revision gets an error. */
async function assertRevisions(
  cluster: EtcdCluster,
  minor: EtcdMinor,
  source: Source,
  firstRevision: number,
): Promise<void> {
  if (minor === "3.4") {
    assert.equal(firstRevision, source.revision, "etcd 3.4.23 has no bump");
    return;
  }
  assert.equal(firstRevision, source.revision + bump);
  assert.ok(firstRevision > source.lastRevision);
  for (const rev of [1, source.revision, source.lastRevision + 1, firstRevision - 1]) {
    const watch = await cluster.etcdctl(["watch", `--rev=${rev}`, "/overwritten"]).then(String, String);
    assert.match(watch, /required revision has been compacted/, `a watch from revision ${rev}`);
  }
}

async function assertLease(cluster: EtcdCluster, lease: string): Promise<void> {
  const output = await cluster.etcdctl(["lease", "timetolive", lease, "--keys"]);
  const [, granted, left] = /granted with TTL\((\d+)s\), remaining\((\d+)s\)/.exec(output) ?? [];
  assert.equal(granted, String(leaseSeconds), output);
  assert.ok(Number(left) > leaseSeconds - 600 && Number(left) <= leaseSeconds, output);
  assert.match(output, /\/leased/);
}
