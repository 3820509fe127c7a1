import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { etcdBackup, etcdBackupJson, etcdBackupPath, s3Store } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { type RunningProcess, startProcess, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { writeKeys } from "../../testdata/histories.ts";
import { backupFilesBelow, filesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { type StoreAccess, assertHoldsBackups } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { saveArgs } from "../../support/save-command.ts";
import { startSnapshotFaultProxy } from "../../support/snapshot-fault-proxy.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

/** In KiB. 200 to 280 MB were measured, of which the table of a million keys takes 50 MB; the database has 830 MB. */
const memoryBound = 350 * 1024;

// The tests run at the same time, since each of them mostly waits.
describe("save while a server is slow or silent", { concurrency: true }, () => {
  test("gives up after 30 s when the member is paused in the stream, exits with code 1 and stores nothing", {
    timeout: 120_000,
  }, async () => {
    await using cluster = await startEtcd();
    await fill(cluster, 30);
    const [member] = cluster.members;
    assert.ok(member);
    await using proxy = await startTcpFaultProxy(member.endpoint);
    await using dir = await tempDir("paused");
    proxy.holdAfter(4_000_000);
    const save = saveArgs(cluster, `file://${dir.path}`, { endpoints: [proxy.endpoint] });
    await using run = startProcess(etcdBackupPath, save);
    await during(run, proxy.held());
    member.pause();
    proxy.release();
    const { code } = await exitOf(run);
    member.resume();
    assert.equal(code, 1, run.output());
    assert.match(run.output(), new RegExp(`etcd-backup: snapshot at ${proxy.endpoint}: no data for 30 s`));
    assert.match(run.output(), /hint: check whether the member is paused/);
    assert.deepEqual(await backupFilesBelow(dir.path), []);
  });

  test("goes on after 30 s without the HashKV of a member that does not answer", {
    timeout: 120_000,
  }, async () => {
    await using cluster = await startEtcd({ members: 3 });
    await cluster.etcdctl(["put", "a", "1"]);
    // The leader is silent, since save reads a follower and needs the hash of the member that it reads.
    const silent = await cluster.leader();
    const others = cluster.members.filter((member) => member !== silent);
    await using proxy = await startSnapshotFaultProxy(silent.endpoint, { hashSilent: true });
    await using dir = await tempDir("silent");
    const endpoints = [proxy.endpoint, ...others.map(({ endpoint }) => endpoint)];
    const save = saveArgs(cluster, `file://${dir.path}`, { endpoints });
    const { code, stdout, stderr } = await etcdBackup([...save, "-o", "json"]);
    assert.equal(code, 0, stderr);
    assert.equal(proxy.hashCalls, 1);
    const saved: { hashKV?: { membersCompared: string[] } } = JSON.parse(stdout);
    assert.deepEqual(saved.hashKV?.membersCompared.toSorted(), others.map(({ name }) => name).toSorted());
  });

  test("reads on from a member that sends slowly for longer than the stall timeout", {
    timeout: 180_000,
  }, async () => {
    await using cluster = await startEtcd();
    await fill(cluster, 20);
    await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
    proxy.throttle(600_000);
    await using dir = await tempDir("slow");
    const save = saveArgs(cluster, `file://${dir.path}`, { endpoints: [proxy.endpoint] });
    const saved = await etcdBackupJson<{ run: { startedAt: string; completedAt: string } }>(save);
    const { startedAt, completedAt } = saved.run;
    assert.ok(
      Date.parse(completedAt) - Date.parse(startedAt) > 30_000,
      "the stream took longer than the stall timeout",
    );
    await assertHoldsBackups({ url: `file://${dir.path}`, env: {} }, 1);
  });

  test("of 800 MB waits for a store that is paused for 40 s, with bounded memory", {
    timeout: 300_000,
  }, async (t) => {
    await using s3 = await startS3();
    await s3.createBucket("backups");
    const store = s3Store(s3, "backups");
    await using cluster = await startEtcd();
    await writeKeys(cluster, { keys: 1_000_000, value: () => randomBytes(560) });
    await using run = startProcess(etcdBackupPath, saveArgs(cluster, store.url), { env: store.env });
    const peakMemory = watchMemory(run);
    const stored = () => bytesBelow(join(s3.rootDir, "backups"));
    await during(
      run,
      eventually("the first parts are stored", async () => (await stored()) >= 50_000_000),
    );
    s3.pause();
    const storedBefore = await stored();
    await during(run, delay(40_000));
    s3.resume();
    const { code } = await exitOf(run, 240);
    assert.equal(code, 0, run.output());
    assert.ok((await stored()) > 3 * storedBefore, "most of the data was stored after the pause");
    assert.ok((await peakMemory) < memoryBound, `${await peakMemory} KiB were resident`);
    await Promise.all([
      assertHoldsAMillionKeys(store),
      t.test("needs no more memory when the member is slower than the store", async () => {
        await using dir = await tempDir("throttled");
        await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
        proxy.throttle(80_000_000);
        const save = saveArgs(cluster, `file://${dir.path}`, { endpoints: [proxy.endpoint] });
        await using slow = startProcess(etcdBackupPath, save);
        const highest = await watchMemory(slow);
        assert.equal((await exitOf(slow)).code, 0, slow.output());
        assert.ok(highest < memoryBound, `${highest} KiB were resident`);
      }),
    ]);
  });
});

async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  // A part that is renamed during the listing is counted by the next call.
  for (const file of await filesBelow(directory).catch(() => [])) {
    bytes += (await stat(join(directory, file)).catch(() => ({ size: 0 }))).size;
  }
  return bytes;
}

async function assertHoldsAMillionKeys(store: StoreAccess): Promise<void> {
  await assertHoldsBackups(store, 1);
  const status = ["status", "latest", "--store", store.url];
  const { totalKey } = await etcdBackupJson<{ totalKey: number }>(status, store.env);
  assert.ok(totalKey >= 1_000_000, String(totalKey));
}

/** The peak resident memory (KiB) of a process, when it has exited. */
async function watchMemory(run: RunningProcess): Promise<number> {
  let peak = 0;
  while (run.running) {
    const status = await readFile(`/proc/${run.pid}/status`, "utf8").catch(() => "");
    peak = Math.max(peak, Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1] ?? 0));
    await Promise.race([run.exited, delay(100)]);
  }
  return peak;
}
