import assert from "node:assert/strict";
import { test } from "node:test";
import { type Ran, etcdBackup, etcdBackupJson, etcdFlags } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { createAuthority } from "../../harness/certificates.ts";
import { tempDir } from "../../harness/process.ts";
import { eventually } from "../../support/eventually.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

interface Members {
  clusterID: string;
  snapshotFrom: { name: string; endpoint: string } | null;
  reason: string;
  withoutQuorum: boolean;
  members: {
    name: string;
    endpoint: string;
    error?: string;
    isLeader: boolean;
    isLearner: boolean;
    chosen: boolean;
    why: string;
    lag: number;
    alarms: object[];
  }[];
}

test("members", async (t) => {
  await using cluster = await startEtcd({
    members: 3,
    tls: true,
    auth: { username: "root", password: "s3cret-pass" },
  });
  const flags = [...etcdFlags(cluster), "--user", "root"];
  const env = { ETCDCTL_PASSWORD: "s3cret-pass" };
  const leader = await cluster.leader();
  const followers = cluster.members.filter((m) => m !== leader).map((m) => m.name);

  await t.test("chooses a follower, over TLS with a client certificate and a password", async () => {
    const found = await etcdBackupJson<Members>(["members", ...flags], env);
    assert.equal(found.members.length, 3);
    assert.ok(followers.includes(found.snapshotFrom?.name ?? ""), found.reason);
    assert.match(found.members.find((m) => m.isLeader)?.why ?? "", /leader/);
  });

  await t.test("finds the other members through the member list of one endpoint", async () => {
    const found = await etcdBackupJson<Members>(
      ["members", ...etcdFlags(cluster, cluster.endpoints.slice(0, 1)), "--user", "root"],
      env,
    );
    assert.deepEqual(found.members.map((m) => m.endpoint).toSorted(), cluster.endpoints.toSorted());
  });

  await t.test("marks the row of the member that a snapshot would use", async () => {
    const { code, stdout } = await etcdBackup(["members", ...flags], env);
    assert.equal(code, 0);
    const [header = "", ...rows] = stdout.trimEnd().split("\n");
    assert.match(
      header,
      /NAME +ENDPOINT +ID +VERSION +DB SIZE +IN USE +ROLE +TERM +APPLIED +LAG +ALARMS +WHY/,
    );
    assert.equal(rows.filter((row) => row.startsWith("*")).length, 1);
    assert.match(rows.find((row) => row.startsWith("*")) ?? "", /follower.*snapshot: follower/);
  });

  await t.test("honours --prefer leader and --member", async () => {
    const preferred = await etcdBackupJson<Members>(["members", ...flags, "--prefer", "leader"], env);
    assert.equal(preferred.snapshotFrom?.name, leader.name);
    const named = await etcdBackupJson<Members>(["members", ...flags, "--member", leader.name], env);
    assert.equal(named.snapshotFrom?.name, leader.name);
    assert.equal(named.reason, "selected by name (--member, spec.etcd.memberSelection.name)");
  });

  await t.test("shows the reason in the row of an endpoint that refuses the connection", async () => {
    const found = await etcdBackupJson<Members>(
      ["members", ...etcdFlags(cluster, [...cluster.endpoints, "https://127.0.0.1:1"]), "--user", "root"],
      env,
    );
    assert.match(
      found.members.find((m) => m.endpoint === "https://127.0.0.1:1")?.error ?? "",
      /connection refused/,
    );
    assert.notEqual(found.snapshotFrom, null);
  });

  await t.test("reports a wrong password at every member and never prints it", async () => {
    const { code, stdout, stderr } = await etcdBackup(["members", ...flags], {
      ETCDCTL_PASSWORD: "wrong-hunter2",
    });
    assert.equal(code, 1);
    assert.match(stdout, /authentication.*refused/);
    assert.doesNotMatch(stdout + stderr, /hunter2/);
  });

  await t.test("reports a certificate of an unknown authority as a TLS failure", async () => {
    await using dir = await tempDir("other-ca");
    const other = await createAuthority("another CA");
    const caFile = join(dir.path, "ca.crt");
    await writeFile(caFile, other.caPem);
    const { code, stdout, stderr } = await etcdBackup([
      "members",
      "--endpoints",
      cluster.endpoints.join(","),
      "--cacert",
      caFile,
    ]);
    assert.equal(code, 1);
    assert.match(stdout, /TLS failed/);
    assert.match(stderr, /no(ne)? of 3 endpoints answers/);
  });

  await t.test("lists a learner and never chooses it", async () => {
    const learner = await cluster.addLearner();
    const found = await etcdBackupJson<Members>(["members", ...flags], env);
    const row = found.members.find((m) => m.name === learner.name);
    assert.equal(row?.isLearner, true);
    assert.match(row?.why ?? "", /learner/);
    const { code } = await etcdBackup(["members", ...flags, "--member", learner.name], env);
    assert.equal(code, 1);
    await learner.kill();
  });

  await t.test("reports a paused member after the command timeout and chooses another one", async () => {
    const paused = cluster.members.find((m) => m.name === followers[0]);
    paused?.pause();
    try {
      const found = await etcdBackupJson<Members>(["members", ...flags, "--command-timeout", "1s"], env);
      assert.match(found.members.find((m) => m.name === paused?.name)?.error ?? "", /no answer in time/);
      assert.equal(found.snapshotFrom?.name, followers[1]);
    } finally {
      paused?.resume();
    }
  });
});

test("members shows a NOSPACE alarm, and a snapshot of that member is possible", async () => {
  await using cluster = await startEtcd({ extraArgs: ["--quota-backend-bytes=1048576"] });
  const value = "x".repeat(200_000);
  await assert.rejects(async () => {
    for (let i = 0; i < 20; i += 1) await cluster.etcdctl(["put", `k${i}`], { input: value });
  }, /database space exceeded/);
  const { code, stdout } = await etcdBackup(["members", ...etcdFlags(cluster)]);
  assert.equal(code, 0);
  assert.match(stdout, /NOSPACE +snapshot: the only usable member/);
});

test("members without quorum", async (t) => {
  await using cluster = await startEtcd({ members: 3 });
  await cluster.etcdctl(["put", "a", "1"]);
  const [survivor, ...lost] = cluster.members;
  await Promise.all(lost.map((m) => m.kill()));
  const flags = [...etcdFlags(cluster), "--command-timeout", "2s"];

  await t.test("chooses no member and names the reason", async () => {
    let ran: Ran | undefined;
    await eventually("the survivor reports that it has no leader", async () => {
      ran = await etcdBackup(["members", ...flags]);
      return /quorum/.test(ran.stderr);
    });
    assert.equal(ran?.code, 1);
    assert.match(ran?.stderr ?? "", /quorum is lost/);
    assert.match(ran?.stdout ?? "", /has no leader/);
  });

  await t.test("chooses the surviving member with --allow-without-quorum and gives the reason", async () => {
    const found = await etcdBackupJson<Members>(["members", ...flags, "--allow-without-quorum"]);
    assert.equal(found.snapshotFrom?.name, survivor?.name);
    assert.equal(found.withoutQuorum, true);
    assert.match(found.reason, /quorum is lost/);
  });
});
