import assert from "node:assert/strict";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { createAuthority } from "../../harness/certificates.ts";
import {
  type Ran,
  etcdBackup,
  etcdBackupJson,
  etcdBackupPath,
  etcdFlags,
  s3Store,
} from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { freePorts, run, tempDir } from "../../harness/process.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { mountTmpfs } from "../../support/tmpfs.ts";
import { fill } from "../../support/sample-data.ts";
import { rawClient } from "../../support/s3-store.ts";
import { saveArgs } from "../../support/save-command.ts";

interface Saved {
  name: string;
  stored: { object: string; bytes: number; proof: string };
}

let cluster: EtcdCluster;
let s3: S3Server;

before(async () => {
  [cluster, s3] = await Promise.all([startEtcd(), startS3()]);
  await s3.createBucket("backups");
  await fill(cluster, 3);
});
after(async () => {
  await Promise.all([cluster[Symbol.asyncDispose](), s3[Symbol.asyncDispose]()]);
});

function saveInto(url: string): string[] {
  return saveArgs(cluster, url);
}

/** The URL with these parameters added or replaced. */
function withParameters(url: string, parameters: Record<string, string>): string {
  const [location = "", query = ""] = url.split("?");
  return `${location}?${new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(query)), ...parameters })}`;
}

test("only the owner can read the files of a backup, whatever the umask", async () => {
  await using dir = await tempDir("modes");
  const script = 'umask 000; exec "$0" "$@"';
  const url = `file://${dir.path}`;
  const saved = await run("sh", ["-c", script, etcdBackupPath, ...saveInto(url)]);
  assert.equal(saved.code, 0, saved.stderr);
  const entries = await readdir(dir.path, { recursive: true, withFileTypes: true });
  assert.equal(entries.length, 5, "the folder, the data, the manifest, the claim in its folder");
  for (const entry of entries) {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    assert.equal((mode & 0o777).toString(8), entry.isDirectory() ? "700" : "600", entry.name);
  }
  const file = join(dir.path, "fetched.db");
  const fetch = ["fetch", "latest", "--store", url, "-o", file];
  assert.equal((await run("sh", ["-c", script, etcdBackupPath, ...fetch])).code, 0);
  assert.equal(((await stat(file)).mode & 0o777).toString(8), "600");
});

test("on a full disk", async (t) => {
  await using dir = await tempDir("full");
  const disk = await mountTmpfs(dir.path, "size=1m");
  if ("reason" in disk) return t.skip(disk.reason);
  await using _ = disk;

  await t.test("save fails with exit code 1, gives the reason and leaves no file", async () => {
    const { code, stdout, stderr } = await etcdBackup(saveInto(`file://${dir.path}`));
    assert.equal(code, 1, stderr);
    assert.match(stderr, /etcd-backup: writing .*no space is left/);
    assert.equal(stdout, "");
    assert.deepEqual(await backupFilesBelow(dir.path), []);
  });

  await t.test("fetch fails with exit code 1, blames the disk and leaves no file", async () => {
    const { url, env } = s3Store(s3, "backups", "full");
    await etcdBackupJson(saveInto(url), env);
    const file = join(dir.path, "fetched.db");
    const { code, stderr } = await etcdBackup(["fetch", "latest", "--store", url, "-o", file], env);
    assert.equal(code, 1, stderr);
    assert.match(stderr, new RegExp(`etcd-backup: writing ${file}: no space is left`));
    assert.doesNotMatch(stderr, /damaged|another backup/);
    assert.deepEqual(await backupFilesBelow(dir.path), []);
  });
});

test("an S3 store over TLS with a private authority", async (t) => {
  const authority = await createAuthority("a private CA");
  await using tls = await startS3("versitygw", { tls: authority });
  await tls.createBucket("backups");
  await using dir = await tempDir("ca");
  const bundle = join(dir.path, "ca.pem");
  await writeFile(bundle, authority.caPem);
  const { url, env } = s3Store(tls, "backups");

  await t.test("is trusted by AWS_CA_BUNDLE", async () => {
    const trusting = { ...env, AWS_CA_BUNDLE: bundle };
    await etcdBackupJson<Saved>(saveInto(url), trusting);
    const verified = await etcdBackup(["verify", "latest", "--store", url], trusting);
    assert.equal(verified.code, 0, verified.stderr);
  });

  await t.test("is refused with exit code 3 without it, and the hint names it", async () => {
    const { code, stderr } = await etcdBackup(saveInto(url), env);
    assert.equal(code, 3, stderr);
    assert.match(stderr, /the certificate at https:\/\/127\.0\.0\.1:\d+ cannot be trusted/);
    assert.match(stderr, /hint: .*AWS_CA_BUNDLE/);
  });

  await t.test("needs a bundle that exists and holds a certificate", async () => {
    const gone = await etcdBackup(saveInto(url), { ...env, AWS_CA_BUNDLE: "/nowhere/ca.pem" });
    assert.equal(gone.code, 3, gone.stderr);
    assert.match(gone.stderr, /AWS_CA_BUNDLE: \/nowhere\/ca\.pem cannot be read: ENOENT/);
    const empty = join(dir.path, "empty.pem");
    await writeFile(empty, "no certificate");
    const none = await etcdBackup(saveInto(url), { ...env, AWS_CA_BUNDLE: empty });
    assert.equal(none.code, 3, none.stderr);
    assert.match(none.stderr, /holds no PEM certificate/);
  });
});

test("the data object gets the storage class of the URL, and the manifest the bucket's default", async () => {
  await using minio = await startS3("minio");
  await minio.createBucket("classes");
  const { url, env } = s3Store(minio, "classes");
  const saved = await etcdBackupJson<Saved>(
    saveInto(withParameters(url, { storageClass: "REDUCED_REDUNDANCY" })),
    env,
  );
  const client = rawClient(minio);
  try {
    const classOf = async (Key: string) =>
      (await client.send(new HeadObjectCommand({ Bucket: "classes", Key }))).StorageClass;
    assert.equal(await classOf(saved.stored.object), "REDUCED_REDUNDANCY");
    assert.equal(await classOf(`lab/${saved.name}.json`), undefined, "the default class");
  } finally {
    client.destroy();
  }
  // MinIO without a key server refuses encryption: the request must not be dropped silently.
  for (const sse of ["AES256", "aws:kms"]) {
    const refused = await etcdBackup(saveInto(withParameters(url, { sse })), env);
    assert.notEqual(refused.code, 0, sse);
    assert.match(refused.stderr, /KMS/i);
  }
  assert.equal((await etcdBackup(["list", "--store", url], env)).stdout.split("\n").length, 3);
});

test("a store that cannot be used gives the reason, with the exit code of its kind", async (t) => {
  const { url, env } = s3Store(s3, "backups");
  const [closed = 0] = await freePorts(1);
  const cases: [string, Record<string, string>, string, number, RegExp][] = [
    [
      "an unknown access key",
      { ...env, AWS_ACCESS_KEY_ID: "NOBODY" },
      url,
      1,
      /does not accept the credentials/,
    ],
    [
      // save begins with HEAD, whose answer has no error message.
      "a wrong secret",
      { ...env, AWS_SECRET_ACCESS_KEY: "wrong-hunter2" },
      url,
      1,
      /does not accept the credentials|the store refused the request/,
    ],
    [
      "a bucket that is not there",
      env,
      url.replace("backups", "elsewhere"),
      3,
      /bucket elsewhere does not exist/,
    ],
    [
      "an endpoint without a server",
      env,
      withParameters(url, { endpoint: `http://127.0.0.1:${closed}` }),
      1,
      new RegExp(`connection refused at http://127.0.0.1:${closed}`),
    ],
    [
      "an https endpoint whose server speaks http",
      env,
      url.replace("http%3A", "https%3A"),
      3,
      /no TLS at https/,
    ],
    [
      "a password in the endpoint",
      env,
      url.replace("%2F%2F", "%2F%2Fme%3Ahunter2%40"),
      2,
      /holds a user or password/,
    ],
    ["a password in the URL", env, url.replace("s3://", "s3://me:hunter2@"), 2, /holds a user or password/],
    ["an unknown parameter", env, `${url}&acl=public`, 2, /unknown parameter "acl"/],
    ["a directory that is not there", {}, "file:///nowhere", 3, /\/nowhere does not exist/],
  ];
  for (const [name, environment, store, code, says] of cases) {
    await t.test(name, async () => {
      const list = ["list", "--store", store];
      // A retryable error is retried for some seconds, so one command is enough.
      const retried = /connection refused/.test(says.source);
      for (const args of retried ? [list] : [list, ["--log-level", "debug", ...saveInto(store)]]) {
        const ran = await etcdBackup(args, environment);
        assert.equal(ran.code, code, `${args[0]}: ${ran.stderr}`);
        assert.match(ran.stderr, says);
        assert.match(ran.stderr, /hint: /);
        holdsNoSecret(ran, "hunter2", environment["AWS_SECRET_ACCESS_KEY"]);
      }
    });
  }
});

test("no command prints a secret or writes one into the store", async () => {
  await using secured = await startEtcd({ auth: { username: "root", password: "s3cret-of-root" } });
  await using dir = await tempDir("secrets");
  const { url, env } = s3Store(s3, "backups", "secrets");
  const access = { ...env, ETCDCTL_PASSWORD: "s3cret-of-root", ETCDCTL_USER: "root" };
  const etcd = etcdFlags(secured);
  const store = ["--store", url, "--cluster-name", "lab"];
  const commands: [number, string[]][] = [
    [0, ["save", ...store, ...etcd]],
    [0, ["save", ...store, ...etcd, "--user", "root:s3cret-of-root"]],
    [0, ["members", ...etcd]],
    [0, ["list", ...store]],
    [0, ["status", "latest", ...store]],
    [0, ["verify", "latest", ...store]],
    [0, ["fetch", "latest", ...store, "-f", "-o", join(dir.path, "a.db")]],
    [0, ["save", "--help"]],
    [1, ["save", ...store, "--endpoints", "http://127.0.0.1:1"]],
    [3, ["save", ...store, ...etcd, "--member", "nobody"]],
  ];
  for (const [code, args] of commands) {
    const format = args[0] === "fetch" ? [] : ["-o", "json"];
    const ran = await etcdBackup(["--log-level", "debug", ...args, ...format], access);
    assert.equal(ran.code, code, ran.stderr);
    holdsNoSecret(ran, "s3cret-of-root", s3.secretAccessKey, s3.accessKeyId);
  }
  const manifests = (await backupFilesBelow(s3.rootDir)).filter((name) => name.endsWith(".json"));
  assert.ok(manifests.length > 0);
  const grep = await run("grep", [
    "-rlaE",
    `s3cret-of-root|${s3.secretAccessKey}|${s3.accessKeyId}`,
    s3.rootDir,
  ]);
  assert.equal(grep.stdout, "", "nothing in the bucket holds a secret");
});

function holdsNoSecret({ stdout, stderr }: Ran, ...secrets: (string | undefined)[]): void {
  for (const secret of secrets) {
    if (secret !== undefined) assert.ok(!(stdout + stderr).includes(secret), stdout + stderr);
  }
}

test("three saves into one store at the same time make three backups, and each verifies", async () => {
  await using dir = await tempDir("two");
  const inS3 = s3Store(s3, "backups", "two");
  for (const { url, env } of [inS3, { url: `file://${dir.path}`, env: {} }]) {
    const saved = await Promise.all([1, 2, 3].map(() => etcdBackupJson<Saved>(saveInto(url), env)));
    const names = saved.map(({ name }) => name);
    assert.equal(new Set(names).size, 3);
    assert.equal(new Set(saved.map(({ stored }) => stored.object)).size, 3);
    const listed = await etcdBackupJson<{ name: string; problem?: string }[]>(["list", "--store", url], env);
    assert.deepEqual(listed.map(({ name }) => name).toSorted(), names.toSorted());
    for (const name of names) {
      const verified = await etcdBackup(["verify", name, "--store", url], env);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    }
  }
});
