import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { binary, type EtcdMinor } from "../../harness/binaries.ts";
import { etcdBackup, etcdBackupJson, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { UnavailableBinary } from "../../harness/unavailable-binary.ts";
import { cutShort, flipByte } from "../../support/damage.ts";
import { restoreWithEtcdutl } from "../../support/restore-with-etcdutl.ts";
import { saveArgs } from "../../support/save-command.ts";

interface Saved {
  name: string;
  url: string;
  manifestUrl: string;
  member: { name: string; isLeader: boolean };
  snapshot: { revision: number; hash: string; totalKeys: number; totalSizeBytes: number; sha256: string };
  stored: { object: string; bytes: number; compression: string; proof: string };
  hashKV?: { membersCompared: string[] };
}

for (const minor of ["3.4", "3.5", "3.6"] as const) {
  test(`etcd ${minor} restored from a fetched backup has the keys of the snapshot`, async (t) => {
    const reason = await whyUnavailable(minor);
    if (reason !== undefined) return t.skip(reason);
    const auth = { username: "root", password: "pass-word" } as const;
    await using s3 = await startS3();
    await s3.createBucket("backups");
    const store = s3Store(s3, "backups", "clusters/eu");
    await using cluster = await startEtcd({
      minor,
      members: 3,
      tls: true,
      auth,
    });
    const env = { ...store.env, ETCDCTL_PASSWORD: auth.password };
    for (let i = 0; i < 20; i += 1) await cluster.etcdctl(["put", `/app/key-${i}`, `value ${i}`]);
    await cluster.etcdctl(["del", "/app/key-3"]);
    const keys = await cluster.etcdctl(["get", "/app/", "--prefix"]);

    const saved = await etcdBackupJson<Saved>(
      [...saveArgs(cluster, store.url, { clusterName: "prod" }), "--user", "root"],
      env,
    );
    assert.equal(saved.member.isLeader, false);
    assert.equal(saved.hashKV?.membersCompared.length, 3);
    assert.equal(saved.stored.proof, "FullObjectCRC32C");
    assert.ok(saved.manifestUrl.endsWith(`/clusters/eu/prod/${saved.name}.json`), saved.manifestUrl);
    await cluster.etcdctl(["put", "/app/later", "not in the backup"]);

    const verified = await etcdBackup(["verify", "latest", "--store", store.url], store.env);
    assert.equal(verified.code, 0, verified.stderr);
    assert.doesNotMatch(verified.stdout, /FAILED/);

    await using dir = await tempDir("fetch");
    const file = join(dir.path, "snapshot.db");
    const fetched = await etcdBackup(["fetch", saved.name, "--store", store.url, "-o", file], store.env);
    assert.equal(fetched.code, 0, fetched.stderr);

    // The status of the file and of the manifest equals that of etcdutl of the same minor.
    const fromEtcdutl: object = JSON.parse(await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]));
    const ofFile = await etcdBackupJson<Record<string, unknown>>(["status", file]);
    const ofManifest = await etcdBackupJson<Record<string, unknown>>(
      ["status", saved.name, "--store", store.url],
      store.env,
    );
    for (const [key, value] of Object.entries(fromEtcdutl)) {
      assert.equal(ofFile[key], value, `${key} of the file`);
      assert.equal(ofManifest[key], value, `${key} of the manifest`);
    }

    await using restored = await restoreWithEtcdutl(minor, file, dir.path, auth);
    assert.equal(await restored.etcdctl(["get", "/app/", "--prefix"]), keys);
  });
}

test("fetch writes the file that etcdctl snapshot save writes: the database, then its SHA-256", async () => {
  await using cluster = await startEtcd();
  await cluster.etcdctl(["put", "a", "1"]);
  await using dir = await tempDir("fetch");
  const url = `file://${dir.path}/store`;
  await mkdir(join(dir.path, "store"));
  const saved = await etcdBackupJson<Saved>([...saveArgs(cluster, url), "--compression", "none"]);
  const file = join(dir.path, "fetched.db");
  assert.equal((await etcdBackup(["fetch", `${url}/lab/${saved.name}`, "-o", file])).code, 0);
  const bytes = await readFile(file);
  assert.equal(bytes.length, saved.snapshot.totalSizeBytes + 32);
  assert.equal(
    createHash("sha256").update(bytes.subarray(0, -32)).digest("hex"),
    bytes.subarray(-32).toString("hex"),
  );
  assert.equal(bytes.subarray(-32).toString("hex"), saved.snapshot.sha256);
  const fromEtcdctl = join(dir.path, "etcdctl.db");
  await cluster.etcdctl(["snapshot", "save", fromEtcdctl]);
  // The size is not compared: etcd may have grown its file by a page between the two snapshots.
  const statusOf = async (path: string) => {
    const status = await cluster.etcdutl(["snapshot", "status", path, "-w", "json"]);
    return { ...(JSON.parse(status) as object), totalSize: undefined };
  };
  assert.deepEqual(await statusOf(file), await statusOf(fromEtcdctl));

  const again = await etcdBackup(["fetch", "latest", "--store", url, "-o", file]);
  assert.equal(again.code, 3);
  assert.match(again.stderr, /exists; it was not changed/);
  assert.ok(bytes.equals(await readFile(file)));
});

test("a damaged backup is listed, fails verify with exit code 4 and is not fetched", async () => {
  await using cluster = await startEtcd();
  await cluster.etcdctl(["put", "a", "x".repeat(100_000)]);
  await using dir = await tempDir("damage");
  const url = `file://${dir.path}/store`;
  await mkdir(join(dir.path, "store"));
  const saved = await etcdBackupJson<Saved>(saveArgs(cluster, url));
  const object = join(dir.path, "store", saved.stored.object);
  const whole = await readFile(object);

  await flipByte(object);
  const verified = await etcdBackup(["verify", "latest", "--store", url]);
  assert.equal(verified.code, 4, verified.stdout + verified.stderr);
  assert.match(verified.stdout, /FAILED/);
  const file = join(dir.path, "out.db");
  assert.equal((await etcdBackup(["fetch", "latest", "--store", url, "-o", file])).code, 4);
  await assert.rejects(readFile(file), { code: "ENOENT" });

  await writeFile(object, whole);
  await cutShort(object);
  const truncated = await etcdBackup(["verify", saved.name, "--store", url]);
  assert.equal(truncated.code, 4);
  assert.match(truncated.stderr, /the manifest says/);
  assert.match((await etcdBackup(["list", "--store", url])).stdout, /the manifest says/);

  await rm(object);
  assert.match((await etcdBackup(["list", "--store", url])).stdout, /is missing/);
  assert.equal((await etcdBackup(["verify", "latest", "--store", url])).code, 4);
});

test("errors name what failed and where, with the exit code of their kind", async (t) => {
  await using cluster = await startEtcd();
  await using dir = await tempDir("errors");
  const url = `file://${dir.path}`;
  const etcd = etcdFlags(cluster);
  const cases: [string, string[], number, RegExp][] = [
    ["no cluster name", ["save", "--store", url, ...etcd], 2, /--cluster-name/],
    ["a bad cluster name", ["save", "--store", url, "--cluster-name", "../x", ...etcd], 2, /not valid/],
    ["no store", ["save", "--cluster-name", "lab", ...etcd], 2, /ETCD_BACKUP_STORE/],
    ["no endpoint", ["save", "--store", url, "--cluster-name", "lab"], 2, /ETCDCTL_ENDPOINTS/],
    ["an unknown store scheme", ["list", "--store", "gs://bucket"], 2, /s3:\/\//],
    [
      "a missing certificate file",
      ["members", ...etcd, "--cacert", "/nonexistent"],
      2,
      /\/nonexistent cannot be read/,
    ],
    ["a missing snapshot file", ["status", join(dir.path, "no.db")], 3, /no such file/],
    ["a backup that is not there", ["verify", "latest", "--store", url], 3, /no backup/],
    [
      "an etcd that does not answer",
      ["save", "--store", url, "--cluster-name", "lab", "--endpoints", "http://127.0.0.1:1"],
      1,
      /connection refused/,
    ],
    ["an unknown command", ["backup"], 2, /unknown command/],
  ];
  for (const [name, args, code, message] of cases) {
    await t.test(name, async () => {
      const ran = await etcdBackup(args);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, message);
      assert.doesNotMatch(ran.stderr, /\n\s+at /, "no stack trace");
      assert.equal(ran.stdout, args[0] === "members" ? ran.stdout : "");
    });
  }
});

async function whyUnavailable(minor: EtcdMinor): Promise<string | undefined> {
  try {
    await binary("etcd", minor);
    return undefined;
  } catch (error) {
    if (error instanceof UnavailableBinary) return error.message;
    throw error;
  }
}
