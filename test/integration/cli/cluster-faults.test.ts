import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { etcdBackup, etcdBackupJson } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { changeStoredValue } from "../../support/diverged-member.ts";
import { restoreWithEtcdutl } from "../../support/restore-with-etcdutl.ts";
import { eventually } from "../../support/eventually.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { saveArgs } from "../../support/save-command.ts";

interface Saved {
  name: string;
  member: { name: string; reason: string };
  snapshot: { withoutQuorum: boolean };
  hashKV?: { membersCompared: string[] };
}

for (const minor of ["3.5", "3.6"] as const) {
  test(`save reports a member whose data has diverged (etcd ${minor})`, async (t) => {
    await using cluster = await startEtcd({ members: 3, minor });
    await cluster.etcdctl(["put", "/app/truth", "value-as-it-was-written"]);
    const leader = await cluster.leader();
    const diverged = cluster.members.find((member) => member !== leader);
    assert.ok(diverged);
    const others = cluster.members.filter((member) => member !== diverged).map(({ name }) => name);
    await changeStoredValue(diverged, "value-as-it-was-written");
    await using dir = await tempDir("diverged");
    const save = (...flags: string[]) => [...saveArgs(cluster, `file://${dir.path}`), ...flags];

    await t.test("save fails with exit code 3 and gives the hash of each member", async () => {
      const { code, stdout, stderr } = await etcdBackup(save());
      assert.equal(code, 3, stderr);
      assert.equal(stdout, "");
      const differs = /HashKV differs between members at revision 2: (.*)/.exec(stderr)?.[1] ?? "";
      const groups = differs.split("; ").map((group) => /^(.*) ([0-9a-f]{8})$/.exec(group)?.slice(1));
      assert.deepEqual(
        groups.map((group) => group?.[0]).toSorted(),
        [others.join(" and "), diverged.name].toSorted(),
      );
      assert.notEqual(groups[0]?.[1], groups[1]?.[1]);
      assert.match(stderr, /hint: .*--member/);
      assert.deepEqual(await backupFilesBelow(dir.path), []);
    });

    await t.test("save --member reads the member and warns of the difference", async () => {
      const { code, stdout, stderr } = await etcdBackup(save("--member", others[0] ?? "", "-o", "json"));
      assert.equal(code, 0, stderr);
      assert.match(stderr, /HashKV differs.*selected by name/);
      const saved: Saved = JSON.parse(stdout);
      assert.equal(saved.member.name, others[0]);
      assert.equal(saved.hashKV, undefined, "the manifest records no agreement");
    });

    await t.test("save --hashkv skip compares nothing", async () => {
      const saved = await etcdBackupJson<Saved>(save("--hashkv", "skip"));
      assert.equal(saved.hashKV, undefined);
    });
  });
}

test("save --hashkv required fails with exit code 1 while a member is down and names the member", async () => {
  await using cluster = await startEtcd({ members: 3 });
  await cluster.etcdctl(["put", "a", "1"]);
  const leader = await cluster.leader();
  const lost = cluster.members.find((member) => member !== leader);
  await using dir = await tempDir("required");
  const save = saveArgs(cluster, `file://${dir.path}`);
  const complete = await etcdBackupJson<Saved>([...save, "--hashkv", "required"]);
  assert.equal(complete.hashKV?.membersCompared.length, 3);
  const before = await backupFilesBelow(dir.path);

  await lost?.kill();
  const refused = await etcdBackup([...save, "--hashkv", "required"]);
  assert.equal(refused.code, 1, refused.stderr);
  assert.match(
    refused.stderr,
    new RegExp(`HashKV of all members is required.*${lost?.name}: connection refused`),
  );
  assert.deepEqual(await backupFilesBelow(dir.path), before);

  const available = await etcdBackupJson<Saved>(save);
  assert.equal(available.hashKV?.membersCompared.length, 2);
});

test("save without quorum needs --allow-without-quorum and stores the last state", async (t) => {
  await using cluster = await startEtcd({ members: 3 });
  await cluster.etcdctl(["put", "/app/last", "words"]);
  const [survivor, ...lost] = cluster.members;
  await eventually(
    "every member has the last write",
    async () =>
      (await cluster.etcdctl(["endpoint", "status", "-w", "json"])).split('"revision":2').length === 4,
  );
  await Promise.all(lost.map((member) => member.kill()));
  await using dir = await tempDir("quorum");
  const store = ["--store", `file://${dir.path}`];
  const save = [...saveArgs(cluster, `file://${dir.path}`), "--command-timeout", "2s"];

  await t.test("save fails and names the flag", async () => {
    let ran = await etcdBackup(save);
    await eventually("the survivor reports that it has no leader", async () => {
      ran = await etcdBackup(save);
      return /quorum is lost/.test(ran.stderr);
    });
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, /--allow-without-quorum/);
    assert.match(ran.stderr, new RegExp(`${lost[0]?.name}: connection refused`));
    // An earlier save may have succeeded, since the survivor knew of the loss only after its election timeout.
  });

  await t.test("save --allow-without-quorum warns, and the listing shows it", async () => {
    const { code, stdout, stderr } = await etcdBackup([...save, "--allow-without-quorum", "-o", "json"]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /warning +the cluster has no quorum/);
    const saved: Saved = JSON.parse(stdout);
    assert.equal(saved.snapshot.withoutQuorum, true);
    assert.equal(saved.member.name, survivor?.name);
    const listed = await etcdBackup(["list", ...store]);
    const row = listed.stdout.split("\n").find((line) => line.startsWith(saved.name));
    assert.match(row ?? "", /complete, without quorum$/);
  });

  await t.test("the fetched file restores a cluster with the last write", async () => {
    const file = join(dir.path, "last.db");
    const fetched = await etcdBackup(["fetch", "latest", ...store, "--cluster-name", "lab", "-o", file]);
    assert.equal(fetched.code, 0, fetched.stderr);
    await using restored = await restoreWithEtcdutl("3.6", file, dir.path);
    assert.equal(await restored.etcdctl(["get", "/app/last", "--print-value-only"]), "words\n");
  });
});
