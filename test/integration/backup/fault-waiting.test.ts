import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { etcdBackup, etcdBackupJson, etcdBackupPath, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { type RunningProcess, startProcess, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { writeKeys } from "../../testdata/histories.ts";
import { filesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { type StoreAccess, checkStore } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { startSnapshotFaultProxy } from "../../support/snapshot-fault-proxy.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

/** Kilobytes. Measured: 200 to 280 MB, of which the table of a million keys takes 50; the database has 830 MB. */
const memoryBound = 350 * 1024;

// Each of them waits for most of its time.
describe("waiting", { concurrency: true }, () => {
  test("a member that is stopped in mid-stream is given up after 30 s: exit code 1, and nothing is stored", {
    timeout: 120_000,
  }, async () => {
    await using cluster = await startEtcd();
    await fill(cluster, 30);
    const [member] = cluster.members;
    assert.ok(member);
    await using proxy = await startTcpFaultProxy(member.endpoint);
    await using dir = await tempDir("stopped");
    proxy.holdAfter(4_000_000);
    await using run = startProcess(etcdBackupPath, [
      "save",
      ...["--store", `file://${dir.path}`, "--cluster-name", "lab"],
      ...etcdFlags(cluster, [proxy.endpoint]),
    ]);
    await during(run, proxy.held());
    member.pause();
    proxy.release();
    const { code } = await exitOf(run);
    member.resume();
    assert.equal(code, 1, run.output());
    assert.match(run.output(), new RegExp(`etcd-backup: snapshot at ${proxy.endpoint}: no data for 30 s`));
    assert.match(run.output(), /hint: check whether the member is paused/);
    assert.deepEqual(await filesBelow(dir.path), []);
  });

  test("a member that never answers HashKV is missed after 30 s, and the others' agreement is enough", {
    timeout: 120_000,
  }, async () => {
    await using cluster = await startEtcd({ members: 3 });
    await cluster.etcdctl(["put", "a", "1"]);
    // A follower is chosen, and without the chosen one's hash the others' agreement says nothing.
    const silent = await cluster.leader();
    const others = cluster.members.filter((member) => member !== silent);
    await using proxy = await startSnapshotFaultProxy(silent.endpoint, { hashSilent: true });
    await using dir = await tempDir("silent");
    const store = ["--store", `file://${dir.path}`, "--cluster-name", "lab"];
    const endpoints = etcdFlags(cluster, [proxy.endpoint, ...others.map(({ endpoint }) => endpoint)]);
    const { code, stdout, stderr } = await etcdBackup(["save", ...store, ...endpoints, "-o", "json"]);
    assert.equal(code, 0, stderr);
    assert.equal(proxy.hashCalls, 1);
    const saved: { hashKV?: { membersCompared: string[] } } = JSON.parse(stdout);
    assert.deepEqual(saved.hashKV?.membersCompared.toSorted(), others.map(({ name }) => name).toSorted());
  });

  test("a member that sends slowly for longer than the stall timeout is not stalled", {
    timeout: 180_000,
  }, async () => {
    await using cluster = await startEtcd();
    await fill(cluster, 20);
    await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
    proxy.throttle(600_000);
    await using dir = await tempDir("slow");
    const store = ["--store", `file://${dir.path}`];
    const save = ["save", ...store, "--cluster-name", "lab", ...etcdFlags(cluster, [proxy.endpoint])];
    const saved = await etcdBackupJson<{ run: { startedAt: string; completedAt: string } }>(save);
    const { startedAt, completedAt } = saved.run;
    assert.ok(Date.parse(completedAt) - Date.parse(startedAt) > 30_000, "it was slow indeed");
    await oneBackup({ url: `file://${dir.path}`, env: {} });
  });

  test("a store that pauses for 40 s holds up a million keys of 800 MB: no stall, and memory stays bounded", {
    timeout: 300_000,
  }, async (t) => {
    await using s3 = await startS3();
    await s3.createBucket("backups");
    const store = s3Store(s3, "backups");
    await using cluster = await startEtcd();
    await writeKeys(cluster, { keys: 1_000_000, value: () => randomBytes(560) });
    await using run = startProcess(
      etcdBackupPath,
      ["save", "--store", store.url, "--cluster-name", "lab", ...etcdFlags(cluster)],
      { env: store.env },
    );
    const peak = watchMemory(run);
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
    assert.ok((await stored()) > 3 * storedBefore, "most of it was still to come");
    assert.ok((await peak) < memoryBound, `${await peak} kB were resident`);
    await Promise.all([
      holdsAMillionKeys(store),
      t.test("nor is more of it held when the member is slower than the store", async () => {
        await using dir = await tempDir("throttled");
        await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
        proxy.throttle(80_000_000);
        const to = [
          "--store",
          `file://${dir.path}`,
          "--cluster-name",
          "lab",
          ...etcdFlags(cluster, [proxy.endpoint]),
        ];
        await using slow = startProcess(etcdBackupPath, ["save", ...to]);
        const highest = await watchMemory(slow);
        assert.equal((await exitOf(slow)).code, 0, slow.output());
        assert.ok(highest < memoryBound, `${highest} kB were resident`);
      }),
    ]);
  });
});

async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  // A part that is renamed meanwhile is counted the next time.
  for (const file of await filesBelow(directory).catch(() => [])) {
    bytes += (await stat(join(directory, file)).catch(() => ({ size: 0 }))).size;
  }
  return bytes;
}

/** One is listed, and sound, and nothing else lies there. */
async function oneBackup(store: StoreAccess): Promise<void> {
  const { backups, leftovers } = await checkStore(store);
  assert.equal(backups.length, 1);
  assert.deepEqual(leftovers, []);
}

async function holdsAMillionKeys(store: StoreAccess): Promise<void> {
  await oneBackup(store);
  const status = ["status", "latest", "--store", store.url];
  const { totalKey } = await etcdBackupJson<{ totalKey: number }>(status, store.env);
  assert.ok(totalKey >= 1_000_000, String(totalKey));
}

/** The highest VmHWM (kB) that was seen while it ran. */
async function watchMemory(run: RunningProcess): Promise<number> {
  let peak = 0;
  while (run.running) {
    const status = await readFile(`/proc/${run.pid}/status`, "utf8").catch(() => "");
    peak = Math.max(peak, Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1] ?? 0));
    await Promise.race([run.exited, delay(100)]);
  }
  return peak;
}
