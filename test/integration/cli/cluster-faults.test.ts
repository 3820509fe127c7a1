import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { etcdBackup, etcdBackupJson, etcdFlags } from "../../harness/etcd-backup.ts";
import { type EtcdMember, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { restoreWithEtcdutl } from "../../support/restore-with-etcdutl.ts";
import { eventually } from "../../support/eventually.ts";
import { filesBelow } from "../../support/files.ts";

interface Saved {
  name: string;
  member: { name: string; reason: string };
  snapshot: { withoutQuorum: boolean };
  hashKV?: { membersCompared: string[] };
}

/** Changes a value where it lies in a stopped member's database: what failing hardware or a bug would do. */
async function overwrite(member: EtcdMember, from: string, to: string): Promise<void> {
  const path = join(member.dataDir, "member", "snap", "db");
  const bytes = await readFile(path);
  let found = 0;
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) {
    bytes.write(to, at);
    found += 1;
  }
  assert.ok(found > 0, "the value lies in the database file");
  assert.equal(to.length, from.length);
  await writeFile(path, bytes);
}

for (const minor of ["3.5", "3.6"] as const) {
  test(`a member whose data has diverged is never silently the backup (etcd ${minor})`, async (t) => {
    await using cluster = await startEtcd({ members: 3, minor });
    await cluster.etcdctl(["put", "/app/truth", "value-as-it-was-written"]);
    const leader = await cluster.leader();
    const liar = cluster.members.find((member) => member !== leader);
    assert.ok(liar);
    const honest = cluster.members.filter((member) => member !== liar).map(({ name }) => name);
    // A graceful end writes everything to the database file: nothing is replayed over the change.
    await liar.process.stop();
    await overwrite(liar, "value-as-it-was-written", "value-as-it-was-NEVER-X");
    await liar.start();
    await using dir = await tempDir("diverged");
    const save = (...more: string[]) => [
      "save",
      ...["--store", `file://${dir.path}`, "--cluster-name", "lab"],
      ...etcdFlags(cluster),
      ...more,
    ];

    await t.test("save refuses for good, and names who says what", async () => {
      const { code, stdout, stderr } = await etcdBackup(save());
      assert.equal(code, 3, stderr);
      assert.equal(stdout, "");
      const differs = /HashKV differs between members at revision 2: (.*)/.exec(stderr)?.[1] ?? "";
      const groups = differs.split("; ").map((group) => /^(.*) ([0-9a-f]{8})$/.exec(group)?.slice(1));
      assert.deepEqual(
        groups.map((group) => group?.[0]).toSorted(),
        [honest.join(" and "), liar.name].toSorted(),
      );
      assert.notEqual(groups[0]?.[1], groups[1]?.[1]);
      assert.match(stderr, /hint: .*--member/);
      assert.deepEqual(await filesBelow(dir.path), []);
    });

    await t.test(
      "a member that is named is read all the same, with a word about the difference",
      async () => {
        const { code, stdout, stderr } = await etcdBackup(save("--member", honest[0] ?? "", "-o", "json"));
        assert.equal(code, 0, stderr);
        assert.match(stderr, /HashKV differs.*asked for by name/);
        const saved: Saved = JSON.parse(stdout);
        assert.equal(saved.member.name, honest[0]);
        assert.equal(saved.hashKV, undefined, "no agreement is claimed");
      },
    );

    await t.test("--hashkv skip does not ask", async () => {
      const saved = await etcdBackupJson<Saved>(save("--hashkv", "skip"));
      assert.equal(saved.hashKV, undefined);
    });
  });
}

test("--hashkv required with a member down fails, may be tried again, and says who is missing", async () => {
  await using cluster = await startEtcd({ members: 3 });
  await cluster.etcdctl(["put", "a", "1"]);
  const leader = await cluster.leader();
  const lost = cluster.members.find((member) => member !== leader);
  await using dir = await tempDir("required");
  const flags = ["--store", `file://${dir.path}`, "--cluster-name", "lab", ...etcdFlags(cluster)];
  const whole = await etcdBackupJson<Saved>(["save", ...flags, "--hashkv", "required"]);
  assert.equal(whole.hashKV?.membersCompared.length, 3);
  const before = await filesBelow(dir.path);

  await lost?.kill();
  const refused = await etcdBackup(["save", ...flags, "--hashkv", "required"]);
  assert.equal(refused.code, 1, refused.stderr);
  assert.match(
    refused.stderr,
    new RegExp(`HashKV of all members is required.*${lost?.name}: connection refused`),
  );
  assert.deepEqual(await filesBelow(dir.path), before);

  const available = await etcdBackupJson<Saved>(["save", ...flags]);
  assert.equal(available.hashKV?.membersCompared.length, 2);
});

test("a cluster that has lost its quorum is refused; with leave, its last state is saved and comes back", async (t) => {
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
  const save = ["save", ...store, "--cluster-name", "lab", ...etcdFlags(cluster), "--command-timeout", "2s"];

  await t.test("save refuses, and says what can be done", async () => {
    let ran = await etcdBackup(save);
    await eventually("the survivor knows that it has no leader", async () => {
      ran = await etcdBackup(save);
      return /quorum is lost/.test(ran.stderr);
    });
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, /--allow-without-quorum/);
    assert.match(ran.stderr, new RegExp(`${lost[0]?.name}: connection refused`));
    // A save that came before the survivor knew may have succeeded.
  });

  await t.test("--allow-without-quorum saves, warns, and the listing shows it", async () => {
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

  await t.test("the fetched file becomes a cluster with the last write", async () => {
    const file = join(dir.path, "last.db");
    const fetched = await etcdBackup(["fetch", "latest", ...store, "--cluster-name", "lab", "-o", file]);
    assert.equal(fetched.code, 0, fetched.stderr);
    await using restored = await restoreWithEtcdutl("3.6", file, dir.path);
    assert.equal(await restored.etcdctl(["get", "/app/last", "--print-value-only"]), "words\n");
  });
});
