import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { etcdBackup, etcdBackupJson, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { saveArgs } from "../../support/save-command.ts";

interface Saved {
  name: string;
  url: string;
  manifestUrl: string;
  snapshot: { revision: number };
  stored: { object: string };
}

let cluster: EtcdCluster;
let dir: Awaited<ReturnType<typeof tempDir>>;
let url: string;
let first: Saved;
let newest: Saved;
let other: Saved;

/** Puts a key before each backup, so that each has a revision of its own. */
async function save(clusterName: string, store: string, env: Record<string, string> = {}): Promise<Saved> {
  await cluster.etcdctl(["put", "key", "value"]);
  return etcdBackupJson<Saved>(saveArgs(cluster, store, { clusterName }), env);
}

async function revisionOf(args: string[], env: Record<string, string> = {}): Promise<number> {
  return (await etcdBackupJson<{ revision: number }>(["status", ...args], env)).revision;
}

async function fails(args: string[], code: number, ...says: RegExp[]): Promise<void> {
  const ran = await etcdBackup(args);
  assert.equal(ran.code, code, ran.stderr);
  for (const text of says) assert.match(ran.stderr, text);
  assert.equal(ran.stdout, "");
}

before(async () => {
  cluster = await startEtcd();
  dir = await tempDir("argument");
  url = `file://${dir.path}`;
  first = await save("one", url);
  // Both names may have the same second: then the revision sorts them.
  newest = await save("one", url);
  other = await save("two", url);
});
after(async () => {
  await dir[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

test("a name selects that backup, and `latest` the newest backup of the cluster", async () => {
  assert.equal(await revisionOf([first.name, "--store", url]), first.snapshot.revision);
  assert.equal(
    await revisionOf(["latest", "--store", url, "--cluster-name", "one"]),
    newest.snapshot.revision,
  );
  assert.equal(
    await revisionOf(["latest", "--store", url, "--cluster-name", "two"]),
    other.snapshot.revision,
  );
});

test("a URL of a backup or of a cluster's latest needs no --store", async () => {
  assert.equal(await revisionOf([first.manifestUrl]), first.snapshot.revision);
  assert.equal(await revisionOf([first.manifestUrl.replace(/\.json$/, "")]), first.snapshot.revision);
  assert.equal(await revisionOf([`${url}/one/latest`]), newest.snapshot.revision);
  assert.equal(await revisionOf([`${url}/two/latest`]), other.snapshot.revision);
});

test("the URLs of a listing are accepted as arguments", async () => {
  const listed = await etcdBackupJson<{ url: string; revision: number }[]>(["list", "--store", url]);
  assert.equal(listed.length, 3);
  for (const entry of listed) assert.equal(await revisionOf([entry.url]), entry.revision);
});

test("a path selects a plain or a compressed snapshot file, even a file named latest", async () => {
  assert.equal(await revisionOf([join(dir.path, first.stored.object)]), first.snapshot.revision);
  const file = join(dir.path, "latest");
  assert.equal((await etcdBackup(["fetch", first.name, "--store", url, "-o", file])).code, 0);
  assert.equal(await revisionOf([file]), first.snapshot.revision);
});

test("the environment can give the store and the cluster", async () => {
  const env = { ETCD_BACKUP_STORE: url, ETCD_BACKUP_CLUSTER_NAME: "two" };
  assert.equal(await revisionOf(["latest"], env), other.snapshot.revision);
  assert.equal(await revisionOf(["latest", "--cluster-name", "one"], env), newest.snapshot.revision);
});

test("`latest` without a cluster is refused in a store of two clusters, and the error names both", async () => {
  for (const verb of [["status"], ["verify"], ["fetch", "-o", join(dir.path, "no.db")]]) {
    const [command = "", ...flags] = verb;
    await fails([command, "latest", "--store", url, ...flags], 2, /one, two/, /--cluster-name/);
  }
});

test("an argument that names no backup is refused with a hint", async () => {
  const [where, missing] = [["--store", url], first.name.replace(/-r\d{20}-/, "-r00000000000000000099-")];
  await fails(["verify", missing, ...where], 3, new RegExp(`no backup ${missing}`), /etcd-backup list/);
  await fails(["verify", first.name, ...where, "--cluster-name", "two"], 3, /no backup/, /cluster two/);
  await fails(["verify", "latest", ...where, "--cluster-name", "three"], 3, /no backup in .*cluster three/);
  await fails(["verify", first.name], 2, /no store/, /ETCD_BACKUP_STORE/);
  await fails(["verify", "latest"], 2, /no store/);
  await fails(["verify", `${url}/one/something`], 2, /is not a backup's URL/, /latest/);
  await fails(["verify", "file:///nowhere/one/latest"], 3, /\/nowhere does not exist/);
  await fails(
    ["fetch", join(dir.path, "latest"), "-o", join(dir.path, "b.db")],
    2,
    /not a backup in a store/,
  );
  await fails(["fetch", first.name, ...where], 2, /--output/);
  await fails(["verify"], 2, /missing required argument/);
  await fails(["verify", "/nowhere/file.db"], 3, /no such file/);
});

test("an S3 URL gets its endpoint from its parameters or from the environment", async () => {
  await using s3 = await startS3();
  await s3.createBucket("backups");
  const store = s3Store(s3, "backups", "some/folder");
  const saved = await save("one", store.url, store.env);
  const [location = "", parameters = ""] = store.url.split("?");
  assert.equal(saved.manifestUrl, `${location}/one/${saved.name}.json`);
  for (const name of [saved.name, `${saved.name}.json`, "latest"])
    assert.equal(
      await revisionOf([`${location}/one/${name}?${parameters}`], store.env),
      saved.snapshot.revision,
    );
  // The URL as save printed it, with the endpoint in the environment.
  const env = { ...store.env, AWS_ENDPOINT_URL: s3.endpoint, AWS_REGION: s3.region };
  assert.equal(await revisionOf([saved.manifestUrl], env), saved.snapshot.revision);
});
