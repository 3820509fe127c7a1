import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { S3Client } from "@aws-sdk/client-s3";
import { etcdBackup, etcdBackupJson, etcdBackupPath, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { type RunningProcess, startProcess, tempDir } from "../../harness/process.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { eventually, within } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { backupFilesBelow, filesBelow, isOwnership } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { type S3FaultProxy, type S3Request, startS3FaultProxy } from "../../support/s3-fault-proxy.ts";
import { objectKeys, rawClient, unfinishedUploads } from "../../support/s3-store.ts";
import { saveArgs } from "../../support/save-command.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

let cluster: EtcdCluster;
let s3: S3Server;
let client: S3Client;

before(async () => {
  [cluster, s3] = await Promise.all([startEtcd(), startS3()]);
  client = rawClient(s3);
  await fill(cluster, 24);
});
after(async () => {
  client.destroy();
  await Promise.all([cluster[Symbol.asyncDispose](), s3[Symbol.asyncDispose]()]);
});

/** A new bucket behind a proxy, and a save into it. */
async function newBucket(bucket: string) {
  await s3.createBucket(bucket);
  const proxy = await startS3FaultProxy(s3.endpoint);
  const { url, env } = s3Store({ ...s3, endpoint: proxy.endpoint }, bucket);
  const args = [...saveArgs(cluster, url), "--compression", "none"];
  return { proxy, url, env, start: () => startProcess(etcdBackupPath, args, { env }) };
}

async function contentsOf(bucket: string): Promise<{ objects: string[]; uploads: string[] }> {
  return {
    objects: (await objectKeys(client, bucket)).filter((name) => !isOwnership(name)),
    uploads: await unfinishedUploads(client, bucket),
  };
}

/**
 * Runs `then` before the proxy forwards the first request of an operation. The returned function waits for that
 * request to arrive.
 */
function first(
  proxy: S3FaultProxy,
  operation: S3Request["operation"],
  then: () => void | Promise<void>,
): () => Promise<void> {
  const arrived = Promise.withResolvers<void>();
  const otherFaults = proxy.fault;
  proxy.fault = async (request) => {
    if (request.operation === operation && request.count === 1) {
      arrived.resolve();
      await then();
    }
    return otherFaults(request);
  };
  return () => within(`a request ${operation}`, arrived.promise, 60);
}

function assertStopped(run: RunningProcess, exit: { code: number | null }, code: number): void {
  assert.equal(exit.code, code, run.output());
  assert.match(run.output(), /^etcd-backup: .*stopped by (Ctrl-C|SIGTERM)/m);
  assert.doesNotMatch(run.output(), /\n\s+at /, "no stack trace");
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} during an upload that hangs exits with code ${code} and leaves nothing in the bucket`, async () => {
    const bucket = `hangs-${code}`;
    const { proxy, start } = await newBucket(bucket);
    await using _ = proxy;
    await using run = start();
    // The server is paused in the middle of a part, and resumes when the program aborts the upload.
    first(proxy, "Abort", () => s3.resume());
    const arrived = first(proxy, "Part", () => {
      s3.pause();
      run.signal(signal);
    });
    await during(run, arrived());
    const exit = await exitOf(run);
    s3.resume();
    assertStopped(run, exit, code);
    assert.deepEqual(await contentsOf(bucket), { objects: [], uploads: [] });
    assert.ok(
      proxy.seen.some(({ operation }) => operation === "Abort"),
      "there was an upload to abort",
    );
  });
}

test("a second Ctrl-C ends the program at once while the store hangs", async () => {
  const { proxy, start } = await newBucket("impatient");
  await using _ = proxy;
  await using run = start();
  const aborting = first(proxy, "Abort", () => run.exited.then(() => {}));
  const arrived = first(proxy, "Part", () => {
    s3.pause();
    run.signal("SIGINT");
  });
  await during(run, arrived());
  await during(run, aborting()).finally(() => run.running || s3.resume());
  // Within 300 ms of the first, a second signal counts as the same one, forwarded by a wrapper.
  await delay(400);
  run.signal("SIGINT");
  const { code } = await exitOf(run);
  s3.resume();
  assert.equal(code, 130, run.output());
  assert.doesNotMatch(run.output(), /stopped by/, "the program does not wait for the abort");
});

for (const operation of ["Head", "Create", "Complete", "Put"] as const) {
  test(`Ctrl-C during the request ${operation} leaves either nothing or the whole backup`, async () => {
    const bucket = `at-${operation.toLowerCase()}`;
    const { proxy, url, env, start } = await newBucket(bucket);
    await using _ = proxy;
    await using run = start();
    const arrived = first(proxy, operation, () => run.signal("SIGINT"));
    await during(run, arrived());
    const exit = await exitOf(run);
    const { objects, uploads } = await contentsOf(bucket);
    assert.deepEqual(uploads, []);
    if (exit.code === 0) {
      // The manifest was stored before the program handled the signal.
      assert.equal(objects.length, 2, objects.join());
      const verified = await etcdBackup(["verify", "latest", "--store", url], env);
      assert.equal(verified.code, 0, verified.stderr);
      return;
    }
    assertStopped(run, exit, 130);
    assert.deepEqual(objects, []);
  });
}

test("Ctrl-C while etcd hangs in the stream exits with code 130 and leaves no file, temporary or not", async () => {
  await using dir = await tempDir("interrupt");
  await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
  proxy.holdAfter(4_000_000);
  const args = saveArgs(cluster, `file://${dir.path}`, { endpoints: [proxy.endpoint] });
  await using run = startProcess(etcdBackupPath, args);
  await during(run, proxy.held());
  cluster.members[0]?.pause();
  try {
    await eventually(
      "a temporary file is written",
      async () => (await backupFilesBelow(dir.path)).length === 1,
    );
    run.signal("SIGINT");
    assertStopped(run, await exitOf(run), 130);
  } finally {
    cluster.members[0]?.resume();
  }
  assert.deepEqual(await backupFilesBelow(dir.path), []);
});

test("Ctrl-C while a backup is read: fetch leaves no file and verify prints no verdict", async () => {
  await s3.createBucket("reading");
  await using proxy = await startTcpFaultProxy(s3.endpoint);
  const { url, env } = s3Store({ ...s3, endpoint: proxy.endpoint }, "reading");
  const flags = ["--store", url, "--cluster-name", "lab"];
  await etcdBackupJson(saveArgs(cluster, url), env);
  await using dir = await tempDir("interrupt");

  const file = join(dir.path, "snapshot.db");
  for (const [before, force] of [
    [[], []],
    [["snapshot.db"], ["--force"]],
  ] as const) {
    proxy.holdAfter(4_000_000);
    await using run = startProcess(etcdBackupPath, ["fetch", "latest", ...flags, ...force, "-o", file], {
      env,
    });
    await during(run, proxy.held());
    await eventually("a temporary file is written", async () =>
      (await filesBelow(dir.path)).some((name) => /^\.snapshot\.db\..*\.part$/.test(name)),
    );
    run.signal("SIGINT");
    assertStopped(run, await exitOf(run), 130);
    assert.deepEqual(await filesBelow(dir.path), before);
    proxy.release();
    await writeFile(file, "older");
  }
  assert.equal(await readFile(file, "utf8"), "older");

  proxy.holdAfter(4_000_000);
  await using verifying = startProcess(etcdBackupPath, ["verify", "latest", ...flags], { env });
  await during(verifying, proxy.held());
  verifying.signal("SIGINT");
  assertStopped(verifying, await exitOf(verifying), 130);
  assert.doesNotMatch(verifying.output(), /FAILED|ok/);
});
