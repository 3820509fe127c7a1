import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { etcdBackup, s3Store } from "../../harness/etcd-backup.ts";
import type { EtcdMember } from "../../harness/etcd-cluster.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { changeStoredValue } from "../../support/diverged-member.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { saveArgs } from "../../support/save-command.ts";

const marker = "the-value-that-every-member-agreed-on";

describe("a cluster with a member whose data has diverged", () => {
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

  it("is not backed up, and the condition and an event name the members", async () => {
    await bench.kube.apply(bench.backupObject("silent", "store"));
    await bench.kube.wait("etcdbackup/silent", "condition=Finished");
    const backup = await bench.kube.backup("silent");
    const succeeded = conditionOf(backup, "Succeeded");
    assert.equal(succeeded?.status, "False");
    assert.equal(succeeded?.reason, "MembersDisagree", succeeded?.message);
    assert.equal(conditionOf(backup, "Stalled")?.status, "True");
    assert.equal(backup.status.attempts, 1, "the failure is permanent");
    const [others, alone] = [
      bench.etcd.members.filter((member) => member !== diverged).map(({ name }) => name),
      diverged.name,
    ];
    assert.match(succeeded?.message ?? "", new RegExp(`${others.join(" and ")} [0-9a-f]{8}`));
    assert.match(succeeded?.message ?? "", new RegExp(`(: |; )${alone} [0-9a-f]{8}`));
    assert.match(succeeded?.message ?? "", /memberSelection\.name/);
    await eventually("the event MembersDisagree is written", async () =>
      (await bench.kube.events("silent")).some(
        ({ type, reason }) => type === "Warning" && reason === "MembersDisagree",
      ),
    );
    assert.deepEqual(await bench.objects("store"), []);
  });

  it("is backed up from the member of memberSelection.name, and an event reports the difference", async () => {
    const name = (await bench.etcd.leader()).name;
    await bench.kube.apply(bench.backupObject("named", "store", { etcd: { memberSelection: { name } } }));
    await bench.kube.wait("etcdbackup/named", "condition=Succeeded");
    const { status } = await bench.kube.backup("named");
    assert.equal(status.member?.name, name);
    assert.equal(status.hashKV, undefined, "the status records no agreement");
    await eventually("the event MembersDisagree is written", async () =>
      (await bench.kube.events("named")).some(
        ({ reason, note }) => reason === "MembersDisagree" && note.includes(diverged.name),
      ),
    );
  });

  it("is backed up without a comparison when hashKV is Skip", async () => {
    await bench.kube.apply(bench.backupObject("skipped", "store", { verification: { hashKV: "Skip" } }));
    await bench.kube.wait("etcdbackup/skipped", "condition=Succeeded");
    assert.equal((await bench.kube.backup("skipped")).status.hashKV, undefined);
  });

  it("is refused by save with exit code 3, and saved with --member", async () => {
    const { url, env } = s3Store(bench.s3, "store", "by-hand");
    const args = saveArgs(bench.etcd, url, { clusterName: "prod" });
    const refused = await etcdBackup(args, env);
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, new RegExp(`HashKV differs between members.*${diverged.name}`));
    assert.match(refused.stderr, /--member/);
    const listed = await etcdBackup(["list", "--store", url, "-o", "json"], env);
    assert.equal(listed.stdout.trim(), "[]");
    const named = await etcdBackup([...args, "--member", (await bench.etcd.leader()).name], env);
    assert.equal(named.code, 0, named.stderr);
  });

  it("is not backed up with hashKV Required while a member is down, and the condition names the member", async () => {
    await diverged.kill();
    await bench.kube.apply(
      bench.backupObject("required", "store", { verification: { hashKV: "Required" }, backoffLimit: 0 }),
      bench.backupObject("available", "store"),
    );
    await bench.kube.wait("etcdbackup/required", "condition=Finished");
    const succeeded = conditionOf(await bench.kube.backup("required"), "Succeeded");
    assert.equal(succeeded?.status, "False");
    assert.match(succeeded?.message ?? "", new RegExp(`HashKV of all members is required.*${diverged.name}`));
    // WhenAvailable needs only that the two remaining members agree.
    await bench.kube.wait("etcdbackup/available", "condition=Succeeded");
    assert.equal((await bench.kube.backup("available")).status.hashKV?.membersCompared.length, 2);
  });
});

/** Changes the member's data and checks that its HashKV differs from that of the others. */
async function diverge(bench: Bench, member: EtcdMember): Promise<void> {
  await changeStoredValue(member, marker);
  const hashes = await bench.etcd.etcdctl(["endpoint", "hashkv", "-w", "json"]);
  const different = new Set([...hashes.matchAll(/"hash":(\d+)/g)].map(([, hash]) => hash));
  assert.equal(different.size, 2, hashes);
}
