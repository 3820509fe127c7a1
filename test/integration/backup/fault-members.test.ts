import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { etcdBackup, etcdBackupJson, etcdBackupPath, etcdFlags } from "../../harness/etcd-backup.ts";
import { type EtcdMember, startEtcd } from "../../harness/etcd-cluster.ts";
import { startProcess, tempDir } from "../../harness/process.ts";
import { writeKeys } from "../../testdata/histories.ts";
import { checkStore } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { fill } from "../../support/sample-data.ts";
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

/** What a leader writes on the stream of raft entries when there are none: msgappv2's heartbeat, as an HTTP chunk. */
const raftHeartbeat = Buffer.from(`8\r\n${"\0".repeat(8)}\r\n`);

test("a follower far behind, and led, is not read: the other one is", async (t) => {
  await using cluster = await startEtcd({ members: 3 });
  const leader = await cluster.leader();
  const [ahead, behind] = cluster.members.filter((member) => member !== leader);
  assert.ok(ahead && behind);
  // Followers call the leader for its entries: one that starts after the change calls the proxy.
  await using proxy = await startTcpFaultProxy(leader.peerUrl);
  const members = await cluster.etcdctl(["member", "list"]);
  const id = new RegExp(`^([0-9a-f]+), \\S+ ${leader.name},`, "m").exec(members)?.[1] ?? "";
  await cluster.etcdctl(["member", "update", id, `--peer-urls=${proxy.endpoint}`]);
  await behind.process.stop();
  await behind.start();
  proxy.drop("GET /raft/stream/msgapp/", raftHeartbeat);
  // A hundred keys an entry.
  await writeKeys(cluster, { keys: 10_000, value: () => Buffer.from("v") });
  await using dir = await tempDir("lag");
  const limit = ["--max-lag", "50", ...etcdFlags(cluster)];
  const flags = ["--store", `file://${dir.path}`, "--cluster-name", "lab", ...limit];

  await t.test("members shows its lag, and why it is not read", async () => {
    const found = await etcdBackupJson<Members>(["members", ...limit]);
    const row = found.members.find(({ name }) => name === behind.name);
    assert.match(row?.why ?? "", /^1\d\d entries behind the leader, more than 50$/);
    assert.equal(found.snapshotFrom?.name, ahead.name);
  });

  await t.test("save reads the other follower, and compares it with the leader alone", async () => {
    const saved = await etcdBackupJson<Saved>(["save", ...flags]);
    assert.equal(saved.member.name, ahead.name);
    assert.ok(saved.snapshot.totalKeys >= 10_000);
    assert.deepEqual(saved.hashKV?.membersCompared.toSorted(), [ahead.name, leader.name].toSorted());
    await verified(dir.path, 1);
  });

  await t.test("where all have to be compared, the error names the one that cannot be", async () => {
    const { code, stderr } = await etcdBackup(["save", ...flags, "--hashkv", "required"]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, new RegExp(`HashKV of all members is required.*: ${behind.name}: `));
    await verified(dir.path, 1);
  });

  await t.test("named, it is read, and the manifest says how far behind it was", async () => {
    const saved = await etcdBackupJson<Saved>(["save", ...flags, "--member", behind.name]);
    assert.equal(saved.member.name, behind.name);
    assert.ok(saved.member.lag > 50, String(saved.member.lag));
    await verified(dir.path, 2);
  });
});

test("a leader that dies while a follower is read takes nothing from the backup", async () => {
  await using cluster = await startEtcd({ members: 3 });
  await fill(cluster, 30);
  const leader = await cluster.leader();
  const follower = cluster.members.find((member) => member !== leader);
  assert.ok(follower);
  await using proxy = await startTcpFaultProxy(follower.endpoint);
  await using dir = await tempDir("leader");
  proxy.holdAfter(4_000_000);
  await using run = startProcess(etcdBackupPath, [
    "save",
    ...["--store", `file://${dir.path}`, "--cluster-name", "lab", "--member", follower.name],
    ...etcdFlags(cluster, [proxy.endpoint]),
  ]);
  await during(run, proxy.held());
  await leader.kill();
  await cluster.leader();
  proxy.release();
  assert.equal((await exitOf(run)).code, 0, run.output());
  await verified(dir.path, 1);
});

test("a follower that stands still is passed over within the command timeout, and said to be missing", async () => {
  await using cluster = await startEtcd({
    members: 3,
    tls: true,
    auth: { username: "root", password: "pass" },
  });
  await cluster.etcdctl(["put", "a", "1"]);
  const leader = await cluster.leader();
  const [still, other] = cluster.members.filter((member) => member !== leader);
  assert.ok(still && other);
  await using dir = await tempDir("still");
  const save = ["save", "--store", `file://${dir.path}`, "--cluster-name", "lab", ...etcdFlags(cluster)];
  still.pause();
  const { code, stdout, stderr } = await etcdBackup(
    [...save, "--user", "root", "--command-timeout", "2s", "-o", "json"],
    { ETCDCTL_PASSWORD: "pass" },
  );
  still.resume();
  assert.equal(code, 0, stderr);
  const saved: Saved = JSON.parse(stdout);
  assert.equal(saved.member.name, other.name);
  assert.deepEqual(saved.hashKV?.membersCompared.toSorted(), [leader.name, other.name].toSorted());
  await verified(dir.path, 1);
});

test("a member that etcd itself found corrupt is not read, not even by name", async () => {
  await using cluster = await startEtcd({ members: 3, extraArgs: ["--corrupt-check-time=1s"] });
  const marker = "the-value-as-all-agreed-on-it";
  await cluster.etcdctl(["put", "/app/truth", marker]);
  const leader = await cluster.leader();
  const corrupt = cluster.members.find((member) => member !== leader);
  assert.ok(corrupt);
  await corrupt.process.stop();
  await overwrite(corrupt, marker);
  await corrupt.start();
  await eventually("the alarm", async () => (await cluster.etcdctl(["alarm", "list"])).includes("CORRUPT"));

  const found = await etcdBackupJson<Members>(["members", ...etcdFlags(cluster)]);
  const row = found.members.find(({ name }) => name === corrupt.name);
  assert.match(row?.why ?? "", /CORRUPT alarm is raised for this member/);
  assert.notEqual(found.snapshotFrom?.name, corrupt.name);
  await using dir = await tempDir("corrupt");
  const save = ["save", "--store", `file://${dir.path}`, "--cluster-name", "lab", ...etcdFlags(cluster)];
  const itself = await etcdBackup([...save, "--member", corrupt.name]);
  assert.equal(itself.code, 1, itself.stderr);
  assert.match(itself.stderr, new RegExp(`${corrupt.name}: the CORRUPT alarm is raised for this member`));
  await verified(dir.path, 0);
  // etcd itself has said who is wrong: the others agree, and the cluster goes on being backed up.
  const made = await etcdBackup(save);
  assert.equal(made.code, 0, made.stderr);
  await verified(dir.path, 1);
  const required = await etcdBackup([...save, "--hashkv", "required"]);
  assert.equal(required.code, 1, required.stderr);
  assert.match(required.stderr, new RegExp(`${corrupt.name}: etcd has raised the CORRUPT alarm for it`));
  await verified(dir.path, 1);
});

/** As many backups are listed, each of them sound, and nothing else lies there. */
async function verified(directory: string, expected: number): Promise<void> {
  const { backups, leftovers } = await checkStore({ url: `file://${directory}`, env: {} });
  assert.equal(backups.length, expected);
  assert.deepEqual(leftovers, []);
}

/** Alters a value where it lies in a stopped member's database. */
async function overwrite(member: EtcdMember, value: string): Promise<void> {
  const path = join(member.dataDir, "member", "snap", "db");
  const bytes = await readFile(path);
  let found = 0;
  for (let at = bytes.indexOf(value); at >= 0; at = bytes.indexOf(value, at + 1)) {
    bytes.write("X", at);
    found += 1;
  }
  assert.ok(found > 0, "the value lies in the database file");
  await writeFile(path, bytes);
}
