import assert from "node:assert/strict";
import { test } from "node:test";
import { etcdBackup, etcdBackupJson, etcdBackupPath, etcdFlags } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { startProcess, tempDir } from "../../harness/process.ts";
import { writeKeys } from "../../testdata/histories.ts";
import { changeStoredValue } from "../../support/diverged-member.ts";
import { assertHoldsBackups } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { fill } from "../../support/sample-data.ts";
import { saveArgs } from "../../support/save-command.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

interface Saved {
  name: string;
  member: { name: string; isLeader: boolean; lag: number; reason: string };
  snapshot: { totalKeys: number };
  hashKV?: { membersCompared: string[] };
}

interface Members {
  snapshotFrom: { name: string } | null;
  members: { name: string; lag: number; why: string; alarms: { alarm: string }[] }[];
}

/** The heartbeat of rafthttp's msgappv2 stream as an HTTP chunk: a leader writes it when there are no raft entries to send. */
const raftHeartbeat = Buffer.from(`8\r\n${"\0".repeat(8)}\r\n`);

test("a follower that lags behind the leader is not chosen", async (t) => {
  await using cluster = await startEtcd({ members: 3 });
  const leader = await cluster.leader();
  const [ahead, behind] = cluster.members.filter((member) => member !== leader);
  assert.ok(ahead && behind);
  // A follower opens the stream of raft entries to the leader's peer URL: after the update that is the proxy.
  await using proxy = await startTcpFaultProxy(leader.peerUrl);
  const members = await cluster.etcdctl(["member", "list"]);
  const id = new RegExp(`^([0-9a-f]+), \\S+ ${leader.name},`, "m").exec(members)?.[1] ?? "";
  await cluster.etcdctl(["member", "update", id, `--peer-urls=${proxy.endpoint}`]);
  await behind.process.stop();
  await behind.start();
  proxy.drop("GET /raft/stream/msgapp/", raftHeartbeat);
  // writeKeys puts 100 keys into one raft entry.
  await writeKeys(cluster, { keys: 10_000, value: () => Buffer.from("v") });
  await using dir = await tempDir("lag");
  const limit = ["--max-lag", "50", ...etcdFlags(cluster)];
  const flags = ["--store", `file://${dir.path}`, "--cluster-name", "lab", ...limit];

  await t.test("members shows its lag and why it is not chosen", async () => {
    const found = await etcdBackupJson<Members>(["members", ...limit]);
    const row = found.members.find(({ name }) => name === behind.name);
    assert.match(row?.why ?? "", /^1\d\d entries behind the leader, more than 50$/);
    assert.equal(found.snapshotFrom?.name, ahead.name);
  });

  await t.test("save reads the other follower and compares its HashKV with the leader only", async () => {
    const saved = await etcdBackupJson<Saved>(["save", ...flags]);
    assert.equal(saved.member.name, ahead.name);
    assert.ok(saved.snapshot.totalKeys >= 10_000);
    assert.deepEqual(saved.hashKV?.membersCompared.toSorted(), [ahead.name, leader.name].toSorted());
    await assertHolds(dir.path, 1);
  });

  await t.test("save --hashkv required fails and names the member that cannot be compared", async () => {
    const { code, stderr } = await etcdBackup(["save", ...flags, "--hashkv", "required"]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, new RegExp(`HashKV of all members is required.*: ${behind.name}: `));
    await assertHolds(dir.path, 1);
  });

  await t.test("save --member reads it, and the manifest records its lag", async () => {
    const saved = await etcdBackupJson<Saved>(["save", ...flags, "--member", behind.name]);
    assert.equal(saved.member.name, behind.name);
    assert.ok(saved.member.lag > 50, String(saved.member.lag));
    await assertHolds(dir.path, 2);
  });
});

test("save from a follower succeeds when the leader is killed meanwhile", async () => {
  await using cluster = await startEtcd({ members: 3 });
  await fill(cluster, 30);
  const leader = await cluster.leader();
  const follower = cluster.members.find((member) => member !== leader);
  assert.ok(follower);
  await using proxy = await startTcpFaultProxy(follower.endpoint);
  await using dir = await tempDir("leader");
  proxy.holdAfter(4_000_000);
  const save = saveArgs(cluster, `file://${dir.path}`, { endpoints: [proxy.endpoint] });
  await using run = startProcess(etcdBackupPath, [...save, "--member", follower.name]);
  await during(run, proxy.held());
  await leader.kill();
  await cluster.leader();
  proxy.release();
  assert.equal((await exitOf(run)).code, 0, run.output());
  await assertHolds(dir.path, 1);
});

test("a paused follower is skipped after the command timeout and is not among the compared members", async () => {
  await using cluster = await startEtcd({
    members: 3,
    tls: true,
    auth: { username: "root", password: "pass" },
  });
  await cluster.etcdctl(["put", "a", "1"]);
  const leader = await cluster.leader();
  const [paused, other] = cluster.members.filter((member) => member !== leader);
  assert.ok(paused && other);
  await using dir = await tempDir("paused");
  const save = saveArgs(cluster, `file://${dir.path}`);
  paused.pause();
  const { code, stdout, stderr } = await etcdBackup(
    [...save, "--user", "root", "--command-timeout", "2s", "-o", "json"],
    { ETCDCTL_PASSWORD: "pass" },
  );
  paused.resume();
  assert.equal(code, 0, stderr);
  const saved: Saved = JSON.parse(stdout);
  assert.equal(saved.member.name, other.name);
  assert.deepEqual(saved.hashKV?.membersCompared.toSorted(), [leader.name, other.name].toSorted());
  await assertHolds(dir.path, 1);
});

test("a member with a CORRUPT alarm is not read, not even with --member", async () => {
  await using cluster = await startEtcd({ members: 3, extraArgs: ["--corrupt-check-time=1s"] });
  const marker = "the-value-as-all-agreed-on-it";
  await cluster.etcdctl(["put", "/app/truth", marker]);
  const leader = await cluster.leader();
  const corrupt = cluster.members.find((member) => member !== leader);
  assert.ok(corrupt);
  await changeStoredValue(corrupt, marker);
  await eventually("the CORRUPT alarm is raised", async () =>
    (await cluster.etcdctl(["alarm", "list"])).includes("CORRUPT"),
  );

  const found = await etcdBackupJson<Members>(["members", ...etcdFlags(cluster)]);
  const row = found.members.find(({ name }) => name === corrupt.name);
  assert.match(row?.why ?? "", /CORRUPT alarm is raised for this member/);
  assert.notEqual(found.snapshotFrom?.name, corrupt.name);
  await using dir = await tempDir("corrupt");
  const save = saveArgs(cluster, `file://${dir.path}`);
  const byName = await etcdBackup([...save, "--member", corrupt.name]);
  assert.equal(byName.code, 1, byName.stderr);
  assert.match(byName.stderr, new RegExp(`${corrupt.name}: the CORRUPT alarm is raised for this member`));
  await assertHolds(dir.path, 0);
  // The alarm names the member that is wrong. The others agree, so a backup is still possible.
  const made = await etcdBackup(save);
  assert.equal(made.code, 0, made.stderr);
  await assertHolds(dir.path, 1);
  const required = await etcdBackup([...save, "--hashkv", "required"]);
  assert.equal(required.code, 1, required.stderr);
  assert.match(required.stderr, new RegExp(`${corrupt.name}: etcd has raised the CORRUPT alarm for it`));
  await assertHolds(dir.path, 1);
});

async function assertHolds(directory: string, expected: number): Promise<void> {
  await assertHoldsBackups({ url: `file://${directory}`, env: {} }, expected);
}
