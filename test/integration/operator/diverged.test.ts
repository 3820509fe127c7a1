import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { etcdBackup, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import type { EtcdMember } from "../../harness/etcd-cluster.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

const marker = "the-value-that-every-member-agreed-on";

describe("a cluster of which one member holds other data", () => {
  let bench: Bench;
  let operator: Operator;
  let diverged: EtcdMember;

  before(async () => {
    bench = await startBench({ etcd: { members: 3 } });
    await bench.etcd.etcdctl(["put", "/app/key", marker]);
    const leader = await bench.etcd.leader();
    const follower = bench.etcd.members.find((member) => member !== leader);
    assert.ok(follower !== undefined);
    diverged = follower;
    await diverge(bench, diverged);
    operator = await startOperator(bench.api);
    await bench.addStore("store");
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  it("is not backed up: the members that disagree are named, and nothing is stored", async () => {
    await bench.kube.apply(bench.backupObject("silent", "store"));
    await bench.kube.wait("etcdbackup/silent", "condition=Finished");
    const backup = await bench.kube.backup("silent");
    const succeeded = conditionOf(backup, "Succeeded");
    assert.equal(succeeded?.status, "False");
    assert.equal(succeeded?.reason, "MembersDisagree", succeeded?.message);
    assert.equal(conditionOf(backup, "Stalled")?.status, "True");
    assert.equal(backup.status.attempts, 1, "trying again cannot help");
    const [others, alone] = [
      bench.etcd.members.filter((member) => member !== diverged).map(({ name }) => name),
      diverged.name,
    ];
    assert.match(succeeded?.message ?? "", new RegExp(`${others.join(" and ")} [0-9a-f]{8}`));
    assert.match(succeeded?.message ?? "", new RegExp(`(: |; )${alone} [0-9a-f]{8}`));
    assert.match(succeeded?.message ?? "", /memberSelection\.name/);
    await eventually("the event MembersDisagree", async () =>
      (await bench.kube.events("silent")).some(
        ({ type, reason }) => type === "Warning" && reason === "MembersDisagree",
      ),
    );
    assert.deepEqual(await bench.objects("store"), []);
  });

  it("is backed up from the member that a person names, and the difference is told as an event", async () => {
    const name = (await bench.etcd.leader()).name;
    await bench.kube.apply(bench.backupObject("named", "store", { etcd: { memberSelection: { name } } }));
    await bench.kube.wait("etcdbackup/named", "condition=Succeeded");
    const { status } = await bench.kube.backup("named");
    assert.equal(status.member?.name, name);
    assert.equal(status.hashKV, undefined, "no agreement is claimed");
    await eventually("the event MembersDisagree", async () =>
      (await bench.kube.events("named")).some(
        ({ reason, note }) => reason === "MembersDisagree" && note.includes(diverged.name),
      ),
    );
  });

  it("is backed up without a comparison where hashKV is Skip", async () => {
    await bench.kube.apply(bench.backupObject("skipped", "store", { verification: { hashKV: "Skip" } }));
    await bench.kube.wait("etcdbackup/skipped", "condition=Succeeded");
    assert.equal((await bench.kube.backup("skipped")).status.hashKV, undefined);
  });

  it("is refused by `save` on the command line with exit code 3, and with --member it is saved", async () => {
    const { url, env } = s3Store(bench.s3, "store", "by-hand");
    const args = ["save", "--store", url, "--cluster-name", "prod", ...etcdFlags(bench.etcd)];
    const refused = await etcdBackup(args, env);
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, new RegExp(`HashKV differs between members.*${diverged.name}`));
    assert.match(refused.stderr, /--member/);
    const listed = await etcdBackup(["list", "--store", url, "-o", "json"], env);
    assert.equal(listed.stdout.trim(), "[]");
    const named = await etcdBackup([...args, "--member", (await bench.etcd.leader()).name], env);
    assert.equal(named.code, 0, named.stderr);
  });

  it("is not waited for with hashKV Required when a member is down: that is said, and tried again", async () => {
    await diverged.kill();
    await bench.kube.apply(
      bench.backupObject("required", "store", { verification: { hashKV: "Required" }, backoffLimit: 0 }),
      bench.backupObject("available", "store"),
    );
    await bench.kube.wait("etcdbackup/required", "condition=Finished");
    const succeeded = conditionOf(await bench.kube.backup("required"), "Succeeded");
    assert.equal(succeeded?.status, "False");
    assert.match(succeeded?.message ?? "", new RegExp(`HashKV of all members is required.*${diverged.name}`));
    // The two that are left agree, and that is all WhenAvailable asks for.
    await bench.kube.wait("etcdbackup/available", "condition=Succeeded");
    assert.equal((await bench.kube.backup("available")).status.hashKV?.membersCompared.length, 2);
  });
});

/** Overwrites the marker in the database file of a member that is stopped in good order, and starts it again. */
async function diverge(bench: Bench, member: EtcdMember): Promise<void> {
  await member.process.stop();
  const file = join(member.dataDir, "member", "snap", "db");
  const bytes = await readFile(file);
  let found = 0;
  for (let at = bytes.indexOf(marker); at !== -1; at = bytes.indexOf(marker, at + 1)) {
    bytes.write("X", at);
    found += 1;
  }
  assert.ok(found > 0, "the marker is in the file");
  await writeFile(file, bytes);
  await member.start();
  const hashes = await bench.etcd.etcdctl(["endpoint", "hashkv", "-w", "json"]);
  const different = new Set([...hashes.matchAll(/"hash":(\d+)/g)].map(([, hash]) => hash));
  assert.equal(different.size, 2, hashes);
}
