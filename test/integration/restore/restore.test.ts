import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chown, mkdir, readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type EtcdMinor, binary } from "../../harness/binaries.ts";
import { etcdBackup, etcdBackupJson, etcdBackupPath, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { run, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { filesBelow, treeOf } from "../../support/files.ts";
import {
  type Plan,
  type RestoreResult,
  bootRestored,
  hashes,
  pairs,
  planMembers,
  restoreAll,
  revisionOf,
  toolFlags,
} from "../../support/restore.ts";
import { eventually } from "../../support/eventually.ts";

const bump = 1_000_000_000;
const leaseSeconds = 86_400;

/** What a person would miss: overwritten, deleted and large values, odd bytes, a lease. */
async function write(cluster: EtcdCluster): Promise<{ lease: string }> {
  const { etcdctl } = cluster;
  const lease = /lease ([0-9a-f]+)/.exec(await etcdctl(["lease", "grant", String(leaseSeconds)]))?.[1] ?? "";
  await etcdctl(["put", `--lease=${lease}`, "/leased", "goes with its lease"]);
  await etcdctl(["put", "/large"], { input: randomBytes(300_000).toString("hex") });
  await etcdctl(["put", "/odd/ключ \t=, 鍵", "--", "-value with spaces\nand lines"]);
  await etcdctl(["put", "/empty", ""]);
  for (let i = 0; i < 5; i += 1) await etcdctl(["put", "/overwritten", `${i}`]);
  await etcdctl(["put", "/deleted", "before"]);
  await etcdctl(["del", "/deleted"]);
  return { lease };
}

/** What a backup lacks: a restored cluster that shows any of it is not the one of the snapshot. */
async function writeMore({ etcdctl }: EtcdCluster): Promise<void> {
  await etcdctl(["put", "/overwritten", "after the snapshot"]);
  await etcdctl(["put", "/deleted", "again"]);
  await etcdctl(["put", "/new", "after the snapshot"]);
  await etcdctl(["del", "/empty"]);
}

interface Source extends AsyncDisposable {
  cluster: EtcdCluster;
  store: string;
  lease: string;
  /** Of the snapshot. */
  revision: number;
  pairs: string;
  /** The newest that clients of the source may have seen. */
  lastRevision: number;
}

async function sourceOf(minor: EtcdMinor, directory: string): Promise<Source> {
  const cluster = await startEtcd({ minor });
  const { lease } = await write(cluster);
  const store = `file://${directory}/store-${minor}`;
  await mkdir(`${directory}/store-${minor}`);
  const save = ["save", "--store", store, "--cluster-name", "lab", ...etcdFlags(cluster)];
  const saved = await etcdBackupJson<{ snapshot: { revision: number } }>(save);
  await writeMore(cluster);
  return {
    cluster,
    store,
    lease,
    revision: saved.snapshot.revision,
    pairs: await pairs(cluster, saved.snapshot.revision),
    lastRevision: await revisionOf(cluster),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

async function assertSameHashes(cluster: EtcdCluster): Promise<void> {
  const found = await hashes(cluster);
  assert.ok(
    found.every((hash) => hash === found[0] && hash > 0),
    `HashKV of all members: ${found.join()}`,
  );
}

/** Warnings about what lies in the directories, and what they are like. */
function complaints(cluster: EtcdCluster): string[] {
  const lines = cluster.members.flatMap((member) => member.logs().split("\n"));
  // Before 3.5 the level is a letter: `2026-11-23 10:20:16.347589 W | etcdserver: …`.
  return lines
    .filter((line) => /"level":"(warn|error|fatal)"| [WEC] \| /.test(line))
    .filter((line) => /unexpected|unknown|invalid|ignored? file|permission|corrupt|mismatch/i.test(line));
}

describe("a cluster restored from a backup", { timeout: 300_000 }, () => {
  let directory: { path: string } & AsyncDisposable;
  const sources = new Map<EtcdMinor, Source>();
  before(async () => {
    directory = await tempDir("restore");
    for (const minor of ["3.4", "3.5", "3.6"] as const)
      sources.set(minor, await sourceOf(minor, directory.path));
  });
  after(async () => {
    for (const source of sources.values()) await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  type How = (source: Source, minor: EtcdMinor, place: string, plan: Plan) => Promise<RestoreResult>;
  const ways: Record<string, { members: number; restore: How }> = {
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
    "three members, each by the command line that the first one printed": {
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
    ["3.4", "three members, each by the command line that the first one printed"],
    ["3.5", "three members, each by the command line that the first one printed"],
    ["3.6", "three members, each by the command line that the first one printed"],
    ["3.4", "five members at once"],
    ["3.5", "five members at once"],
    ["3.6", "five members at once"],
  ];
  for (const [minor, how] of matrix) {
    it(`etcd ${minor}, ${how}: everything as of the snapshot, nothing of what came after it`, async () => {
      const source = sources.get(minor);
      const way = ways[how];
      assert.ok(source !== undefined && way !== undefined);
      await using place = await tempDir("restored");
      const plan = await planMembers(place.path, way.members);
      const result = await way.restore(source, minor, place.path, plan);
      await using cluster = await bootRestored({ minor, members: plan.members });

      assert.equal(result.revision, source.revision);
      assert.equal(await pairs(cluster), source.pairs);
      const began = await revisionOf(cluster);
      assert.equal(began, result.nextRevision);
      await assertRevisions(cluster, minor, source, began);
      await assertLease(cluster, source.lease);
      await cluster.etcdctl(["put", "/written", "to the restored cluster"]);
      await assertSameHashes(cluster);
      const members = await cluster.etcdctl(["member", "list"]);
      assert.equal(members.trim().split("\n").length, way.members, members);
      assert.deepEqual(complaints(cluster), []);
    });
  }
});

/** As a person does on three hosts: the first command line by hand, the others as they were printed. */
async function oneByOne(store: string, minor: EtcdMinor, place: string, plan: Plan): Promise<RestoreResult> {
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
  let last: RestoreResult | undefined;
  for (const [index, line] of lines.entries()) {
    // Other hosts have the same path; this is one host.
    const other = others[index];
    assert.ok(other !== undefined && line.includes(` --name ${other.name} `), line);
    other.dataDir = join(place, `host-${index}`);
    const command = line.replace("etcd-backup", etcdBackupPath).replace(dataDir, other.dataDir);
    const ran = await run("sh", ["-c", `${command} -o json`]);
    assert.equal(ran.code, 0, `${command}\n${ran.stderr}`);
    last = JSON.parse(ran.stdout) as RestoreResult;
    assert.ok(stdout.includes(last.token), "the token that was printed");
  }
  assert.ok(last !== undefined);
  return last;
}

/** Revisions only rise, and who watched the old cluster is told that it has to read everything again. */
async function assertRevisions(
  cluster: EtcdCluster,
  minor: EtcdMinor,
  source: Source,
  began: number,
): Promise<void> {
  if (minor === "3.4") {
    assert.equal(began, source.revision, "etcd 3.4.23 has no bump");
    return;
  }
  assert.equal(began, source.revision + bump);
  assert.ok(began > source.lastRevision);
  for (const rev of [1, source.revision, source.lastRevision + 1, began - 1]) {
    const watch = await cluster.etcdctl(["watch", `--rev=${rev}`, "/overwritten"]).then(String, String);
    assert.match(watch, /required revision has been compacted/, `a watch from revision ${rev}`);
  }
}

async function assertLease(cluster: EtcdCluster, lease: string): Promise<void> {
  const told = await cluster.etcdctl(["lease", "timetolive", lease, "--keys"]);
  const [, granted, left] = /granted with TTL\((\d+)s\), remaining\((\d+)s\)/.exec(told) ?? [];
  assert.equal(granted, String(leaseSeconds), told);
  assert.ok(Number(left) > leaseSeconds - 600 && Number(left) <= leaseSeconds, told);
  assert.match(told, /\/leased/);
}

describe("restore", { timeout: 300_000 }, () => {
  it("keeps TLS, users, roles and passwords, out of a bucket, and writes no secret anywhere", async () => {
    const auth = { username: "root", password: "secret-of-root" } as const;
    await using source = await startEtcd({ members: 3, tls: true, auth });
    await source.etcdctl(["user", "add", "alice:secret-of-alice"]);
    await source.etcdctl(["role", "add", "reader"]);
    await source.etcdctl(["role", "grant-permission", "reader", "read", "/a", "/b"]);
    await source.etcdctl(["user", "grant-role", "alice", "reader"]);
    await source.etcdctl(["put", "/a", "1"]);
    await using s3 = await startS3();
    await s3.createBucket("backups");
    const { url, env } = s3Store(s3, "backups", "deep/prefix");
    const login = { ETCDCTL_USER: "root", ETCDCTL_PASSWORD: auth.password };
    const store = ["--store", url, "--cluster-name", "lab"];
    await etcdBackupJson(["save", ...store, ...etcdFlags(source)], { ...env, ...login });

    await using place = await tempDir("restored");
    const plan = await planMembers(place.path, 3, { tls: true });
    const args = ["latest", ...store, ...(await toolFlags("3.6"))];
    const result = await restoreAll(place.path, plan, args, env);
    await using cluster = await bootRestored({ members: plan.members, tls: true, auth });
    await assertSameHashes(cluster);
    assert.match(await cluster.etcdctl(["auth", "status"]), /Authentication Status: true/);
    const { caFile = "", certFile = "", keyFile = "" } = cluster.tls ?? {};
    const etcdctl = await binary("etcdctl");
    const ask = async (...args: string[]) => {
      const certificates = [`--cacert=${caFile}`, `--cert=${certFile}`, `--key=${keyFile}`];
      const { stdout, stderr } = await run(etcdctl, [
        ...["--endpoints", cluster.endpoints.join()],
        ...certificates,
        ...args,
      ]);
      return stdout + stderr;
    };
    const alice = ["--user", "alice:secret-of-alice"];
    assert.equal(await ask("get", "/a", ...alice), "/a\n1\n");
    assert.match(await ask("put", "/a", "2", ...alice), /permission denied/);
    assert.match(await ask("get", "/z", ...alice), /permission denied/);
    assert.match(await ask("get", "/a", "--user", "alice:secret-of-root"), /invalid user ID or password/);
    // The name in the certificate is one that has no role.
    assert.match(await ask("get", "/a"), /permission denied/);

    for (const { name, dataDir } of plan.members) {
      const text = await readFile(join(dataDir, "member", "restored.json"), "utf8");
      const { restoredAt, sha256, ...marker } = JSON.parse(text) as Record<string, unknown>;
      assert.match(String(restoredAt), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.match(String(sha256), /^[0-9a-f]{64}$/);
      assert.deepEqual(marker, {
        backup: result.backup,
        revision: result.revision,
        bumpRevision: bump,
        member: name,
        initialCluster: plan.initialCluster,
        token: result.token,
        tool: marker["tool"],
      });
      assert.match(String(marker["tool"]), /^etcdutl 3\.6\.\d+$/);
      assert.match(result.backup, /^s3:\/\/backups\/deep\/prefix\/lab\/\d{8}T\d{6}Z-r\d{20}-\w+$/);
      for (const secret of [s3.secretAccessKey, s3.accessKeyId, "secret-of"])
        assert.ok(!text.includes(secret) && !JSON.stringify(result).includes(secret), secret);
    }
  });

  it("brings a raised NOSPACE back raised, and it can be disarmed", async () => {
    await using source = await startEtcd({ extraArgs: ["--quota-backend-bytes=3000000"] });
    const full = async () => {
      for (let i = 0; i < 20; i += 1)
        await source.etcdctl(["put", `/fill/${i}`], { input: randomBytes(300_000).toString("hex") });
    };
    await assert.rejects(full(), /database space exceeded/);
    await using place = await tempDir("restored");
    const store = ["--store", `file://${place.path}/store`, "--cluster-name", "lab"];
    await mkdir(`${place.path}/store`);
    await etcdBackupJson(["save", ...store, ...etcdFlags(source)]);
    const plan = await planMembers(place.path, 1);
    await restoreAll(place.path, plan, ["latest", ...store, ...(await toolFlags("3.6"))]);
    // Not healthy, as it says itself.
    await using cluster = await bootRestored({ members: plan.members, wait: false });
    await eventually("it serves", async () => {
      const served = await cluster.etcdctl(["get", "/fill/0"]).catch(() => "");
      return served !== "";
    });
    assert.match(await cluster.etcdctl(["alarm", "list"]), /alarm:NOSPACE/);
    await assert.rejects(cluster.etcdctl(["put", "/a", "1"]), /database space exceeded/);
    await cluster.etcdctl(["alarm", "disarm"]);
    await cluster.etcdctl(["put", "/a", "1"]);
    assert.equal(await cluster.etcdctl(["alarm", "list"]), "");
  });

  describe("what it makes on the disk", () => {
    let source: Source;
    let directory: { path: string } & AsyncDisposable;
    before(async () => {
      directory = await tempDir("restore");
      source = await sourceOf("3.6", directory.path);
    });
    after(async () => {
      await source[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    });
    const backup = async (): Promise<string[]> => [
      ...["latest", "--store", source.store],
      ...(await toolFlags("3.6")),
    ];

    it("is private to its owner, with the log apart where --wal-dir says, and nothing else is there", async () => {
      await using place = await tempDir("restored");
      const plan = await planMembers(place.path, 3, { walDirs: true });
      await restoreAll(place.path, plan, await backup());
      const { uid, gid } = await stat(place.path);
      for (const { dataDir, walDir = "" } of plan.members) {
        const data = modes(await treeOf(dataDir));
        const snap = Object.keys(data).find((name) => name.endsWith(".snap")) ?? "no .snap";
        assert.deepEqual(data, {
          "": `directory 700 ${uid}:${gid}`,
          member: `directory 700 ${uid}:${gid}`,
          "member/restored.json": `file 600 ${uid}:${gid}`,
          "member/snap": `directory 700 ${uid}:${gid}`,
          [snap]: `file 644 ${uid}:${gid}`,
          "member/snap/db": `file 600 ${uid}:${gid}`,
        });
        assert.deepEqual(modes(await treeOf(walDir)), {
          "": `directory 700 ${uid}:${gid}`,
          "0000000000000000-0000000000000000.wal": `file 600 ${uid}:${gid}`,
        });
      }
      await using cluster = await bootRestored({ members: plan.members });
      assert.equal(await pairs(cluster), source.pairs);
      await assertSameHashes(cluster);
      assert.deepEqual(complaints(cluster), []);
      for (const { dataDir } of plan.members)
        assert.deepEqual((await readdir(join(dataDir, "member"))).toSorted(), ["restored.json", "snap"]);
    });

    it("belongs to whom the empty directory belonged, and the directory keeps its mode", async (t) => {
      if (process.getuid?.() !== 0) return t.skip("only root can give files to somebody else");
      await using place = await tempDir("restored");
      const [dataDir, walDir] = [join(place.path, "data"), join(place.path, "log")];
      await mkdir(dataDir, { mode: 0o750 });
      await mkdir(walDir, { mode: 0o700 });
      await mkdir(join(dataDir, "lost+found"));
      await chown(dataDir, 4321, 1234);
      await chown(walDir, 4322, 1235);
      const args = ["restore", ...(await backup()), "--data-dir", dataDir, "--wal-dir", walDir];
      await etcdBackupJson(args);
      const { "lost+found": own, ...data } = modes(await treeOf(dataDir));
      assert.match(own ?? "", / 0:0$/, "what was there before is left alone");
      assert.equal(data[""], "directory 750 4321:1234");
      assert.ok("member/snap/db" in data && "member/restored.json" in data);
      for (const [name, entry] of Object.entries(data)) assert.match(entry, / 4321:1234$/, name);
      const log = Object.entries(modes(await treeOf(walDir)));
      assert.equal(log.length, 2);
      for (const [name, entry] of log) assert.match(entry, / 4322:1235$/, name);
    });
  });

  it("a member of the old cluster cannot join the restored one at the same peer URLs", async () => {
    await using directory = await tempDir("restored");
    await using old = await startEtcd({ members: 3, minor: "3.5" });
    await write(old);
    const store = ["--store", `file://${directory.path}/store`, "--cluster-name", "lab"];
    await mkdir(`${directory.path}/store`);
    await etcdBackupJson(["save", ...store, ...etcdFlags(old)]);
    const expected = await pairs(old);
    await writeMore(old);
    await Promise.all(old.members.map((member) => member.kill()));
    const survivor = old.members[2];
    assert.ok(survivor !== undefined);

    const members = old.members.map(({ name, endpoint, peerUrl }) => ({
      name,
      dataDir: join(directory.path, "data", name),
      ports: { client: Number(new URL(endpoint).port), peer: Number(new URL(peerUrl).port) },
    }));
    const initialCluster = old.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    await restoreAll(directory.path, { members, initialCluster }, [
      ...["latest", ...store],
      ...(await toolFlags("3.5")),
    ]);
    await using cluster = await bootRestored({ minor: "3.5", members: members.slice(0, 2) });
    const list = await cluster.etcdctl(["member", "list"]);
    await survivor.start({ wait: false });
    await eventually("the old member is turned away", async () =>
      /cluster ID mismatch/i.test(survivor.logs()),
    );
    assert.equal(await pairs(cluster), expected);
    await cluster.etcdctl(["put", "/a", "1"]);
    await assertSameHashes(cluster);
    assert.equal(await cluster.etcdctl(["member", "list"]), list);
    const alone = ["--command-timeout=1s", "get", "/a"];
    await assert.rejects(cluster.etcdctl(alone, { endpoints: [survivor.endpoint] }));
    await survivor.kill();

    await using third = await bootRestored({ minor: "3.5", members: members.slice(2) });
    assert.equal((await third.etcdctl(["get", "/a", "--print-value-only"])).trim(), "1");
    await assertSameHashes({ ...cluster, endpoints: [...cluster.endpoints, ...third.endpoints] });
  });
});

/** Without the contents' digests. */
function modes(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).map(([name, entry]) => [name, entry.split(" ").slice(0, 3).join(" ")]),
  );
}
