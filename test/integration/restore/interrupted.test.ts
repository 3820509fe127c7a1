import assert from "node:assert/strict";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { binary } from "../../harness/binaries.ts";
import { etcdBackup, etcdBackupJson, etcdBackupPath, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { type Exit, type RunningProcess, isAlive, startProcess, tempDir } from "../../harness/process.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { keyValues } from "../../support/cluster-state.ts";
import { treeOf } from "../../support/files.ts";
import { type Plan, bootRestored, planMembers } from "../../support/restore.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { fill } from "../../support/sample-data.ts";
import { saveArgs } from "../../support/save-command.ts";
import { type TcpFaultProxy, startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

let cluster: EtcdCluster;
let s3: S3Server;
let proxy: TcpFaultProxy;
let etcdutl: string;
let expected: string;
/** Arguments that select the backup, behind the proxy. */
let backup: string[];
let env: Record<string, string>;

before(async () => {
  [cluster, s3, etcdutl] = await Promise.all([startEtcd(), startS3(), binary("etcdutl")]);
  proxy = await startTcpFaultProxy(s3.endpoint);
  await fill(cluster, 12);
  await s3.createBucket("backups");
  const proxied = s3Store({ ...s3, endpoint: proxy.endpoint }, "backups");
  env = proxied.env;
  const store = ["--store", proxied.url, "--cluster-name", "lab"];
  await etcdBackupJson(saveArgs(cluster, proxied.url), env);
  backup = ["latest", ...store];
  expected = await keyValues(cluster);
});
after(async () => {
  await proxy[Symbol.asyncDispose]();
  await Promise.all([cluster[Symbol.asyncDispose](), s3[Symbol.asyncDispose]()]);
});

/** A directory that holds a foreign file, and the plan of one member with data and WAL directory below it. */
async function newHost() {
  const dir = await tempDir("interrupted");
  await mkdir(join(dir.path, "data"));
  await writeFile(join(dir.path, "data", "beside"), "foreign");
  const plan = await planMembers(dir.path, 1, { walDirs: true });
  return { dir, path: dir.path, plan, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

function argsFor({ members: [member], initialCluster }: Plan, tool = etcdutl): string[] {
  assert.ok(member !== undefined);
  const { name, dataDir, walDir = "" } = member;
  const where = ["--data-dir", dataDir, "--wal-dir", walDir];
  const who = ["--name", name, "--initial-cluster", initialCluster];
  return ["restore", ...backup, ...who, ...where, "--etcdutl", tool];
}

/** Starts the program in a session of its own, so that a signal can be sent to the whole process group. */
function startJob(args: string[], added: Record<string, string> = {}): RunningProcess {
  return startProcess("setsid", [etcdBackupPath, ...args], { env: { ...env, ...added } });
}

/** Signals the process group, as a terminal does. */
function ctrlC(job: RunningProcess): void {
  process.kill(-job.pid, "SIGINT");
}

/** A wrapper of etcdutl that waits before or after the restore until `goOn`. */
async function slowTool(path: string, when: "before" | "after") {
  const tool = join(path, "etcdutl");
  const wait = `echo $$ > ${path}/arrived.new; mv ${path}/arrived.new ${path}/arrived
while [ ! -e ${path}/go ]; do sleep 0.05; done`;
  const work = when === "before" ? `${wait}\nexec ${etcdutl} "$@"` : `${etcdutl} "$@" || exit $?\n${wait}`;
  const script = `#!/bin/sh\ncase "$*" in version|*--help) exec ${etcdutl} "$@" ;; esac\n${work}\n`;
  await writeFile(tool, script, { mode: 0o755 });
  const pid = async () => Number(await readFile(join(path, "arrived"), "utf8").catch(() => ""));
  return {
    tool,
    arrived: () => eventually("the tool waits", async () => (await pid()) > 0),
    goOn: () => writeFile(join(path, "go"), ""),
    ended: async () => {
      const running = await pid();
      await eventually("the tool has exited", async () => !isAlive(running));
    },
  };
}

function assertStopped(job: RunningProcess, { code }: Exit, wanted: number, by: string): void {
  assert.equal(code, wanted, job.output());
  assert.match(job.output(), new RegExp(`^etcd-backup: stopped by ${by}$`, "m"));
  assert.doesNotMatch(job.output(), /\n\s+at /, "no stack trace");
}

/** The next restore accepts the directory as empty and restores the whole cluster. */
async function assertNextSucceeds(plan: Plan): Promise<void> {
  const { code, stderr } = await etcdBackup(argsFor(plan), env);
  assert.equal(code, 0, stderr);
  await assertWhole(plan);
}

async function assertWhole(plan: Plan): Promise<void> {
  for (const { dataDir, walDir = "" } of plan.members) {
    assert.deepEqual(await readdir(dataDir), ["member"]);
    assert.deepEqual(await readdir(walDir), ["0000000000000000-0000000000000000.wal"]);
  }
  await using restored = await bootRestored({ members: plan.members });
  assert.equal(await keyValues(restored), expected);
}

describe("a restore that is stopped leaves the directory unchanged", { timeout: 300_000 }, () => {
  it("by Ctrl-C during the verification, with exit code 130", async () => {
    await using host = await newHost();
    const before = await treeOf(host.path);
    proxy.holdAfter(2_000_000);
    await using job = startJob(argsFor(host.plan));
    await during(job, proxy.held());
    await eventually("it writes the snapshot", async () =>
      JSON.stringify(await treeOf(host.path)).includes("snapshot.db"),
    );
    ctrlC(job);
    assertStopped(job, await exitOf(job), 130, "Ctrl-C");
    proxy.release();
    assert.deepEqual(await treeOf(host.path), before);
  });

  for (const [signal, code, by, when] of [
    ["SIGINT", 130, "Ctrl-C", "before"],
    ["SIGINT", 130, "Ctrl-C", "after"],
    ["SIGTERM", 143, "SIGTERM", "after"],
  ] as const) {
    it(`by ${by} while etcdutl waits ${when} its work, with exit code ${code}, and stops etcdutl`, async () => {
      await using host = await newHost();
      await using beside = await tempDir("tool");
      const slow = await slowTool(beside.path, when);
      const before = await treeOf(host.path);
      await using job = startJob(argsFor(host.plan, slow.tool));
      await during(job, slow.arrived());
      if (signal === "SIGINT") ctrlC(job);
      else job.signal("SIGTERM");
      assertStopped(job, await exitOf(job), code, by);
      await slow.ended();
      assert.deepEqual(await treeOf(host.path), before);
    });
  }
});

describe("a restore that is killed leaves a directory that the next restore accepts", {
  timeout: 300_000,
}, () => {
  it("during the verification", async () => {
    await using host = await newHost();
    proxy.holdAfter(2_000_000);
    await using job = startJob(argsFor(host.plan));
    await during(job, proxy.held());
    await job.kill();
    proxy.release();
    await assertNextSucceeds(host.plan);
  });

  for (const when of ["before", "after"] as const) {
    it(`while etcdutl waits ${when} its work, also when that etcdutl goes on later`, async () => {
      await using host = await newHost();
      await using beside = await tempDir("tool");
      const slow = await slowTool(beside.path, when);
      await using job = startJob(argsFor(host.plan, slow.tool));
      await during(job, slow.arrived());
      await job.kill();
      assert.equal((await etcdBackup(argsFor(host.plan), env)).code, 0);
      const made = await treeOf(host.path);
      await slow.goOn();
      await slow.ended();
      assert.deepEqual(await treeOf(host.path), made);
      await assertWhole(host.plan);
    });
  }

  it("right before the rename of member", async () => {
    await using host = await newHost();
    await using job = startJob(argsFor(host.plan), {
      NODE_OPTIONS: killedAtRename("before"),
    });
    assert.equal((await exitOf(job)).signal, "SIGKILL", job.output());
    const left = Object.keys(await treeOf(host.path));
    assert.ok(left.some((name) => name.endsWith("/data/member/snap/db")));
    assert.ok(!left.includes("data/r1/member"));
    await assertNextSucceeds(host.plan);
  });

  it("right after the rename of member, with a complete directory that the next restore refuses", async () => {
    await using host = await newHost();
    const [member] = host.plan.members;
    assert.ok(member !== undefined);
    // With the default WAL directory the rename is the last step.
    const { walDir, ...alone } = member;
    assert.ok(walDir !== undefined);
    const args = argsFor(host.plan).filter((arg) => arg !== "--wal-dir" && arg !== walDir);
    await using job = startJob(args, { NODE_OPTIONS: killedAtRename("after") });
    assert.equal((await exitOf(job)).signal, "SIGKILL", job.output());
    const next = await etcdBackup(args, env);
    assert.equal(next.code, 3);
    assert.match(next.stderr, /is not empty \(member\); nothing in it was changed/);
    await using restored = await bootRestored({ members: [alone] });
    assert.equal(await keyValues(restored), expected);
  });
});

/** NODE_OPTIONS with which the program kills itself before or after the rename to `member`. */
function killedAtRename(when: "before" | "after"): string {
  const script = `
    import promises from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    const { rename } = promises;
    promises.rename = async (from, to) => {
      const isMember = to.endsWith("/member");
      if (${when === "after"} || !isMember) await rename(from, to);
      if (isMember) process.kill(process.pid, "SIGKILL");
    };
    syncBuiltinESMExports();`;
  return `--import=data:text/javascript,${encodeURIComponent(script)}`;
}

describe("two restores into one directory at once", { timeout: 300_000 }, () => {
  it("one succeeds or both fail, and the directory is complete or unchanged", async (t) => {
    let won = 0;
    for (let round = 0; round < 4; round += 1) {
      await using host = await newHost();
      const before = await treeOf(host.path);
      const ran = await Promise.all([1, 2].map(() => etcdBackup([...argsFor(host.plan), "-o", "json"], env)));
      const winners = ran.filter(({ code }) => code === 0);
      for (const { code, stderr } of ran) {
        if (code === 0) continue;
        assert.ok(code === 1 || code === 3, stderr);
        assert.match(stderr, /^etcd-backup: .*(another restore is using|is not empty|cannot be)/m);
      }
      assert.ok(winners.length <= 1, "at most one succeeds");
      if (winners[0] === undefined) {
        assert.deepEqual(Object.keys(await treeOf(host.path)), Object.keys(before));
        continue;
      }
      won += 1;
      const [member] = host.plan.members;
      const marker = await readFile(join(member?.dataDir ?? "", "member", "restored.json"), "utf8");
      const { token } = JSON.parse(winners[0].stdout) as { token: string };
      assert.ok(marker.includes(token), "the marker has the token of the restore that succeeded");
      if (won === 1) await assertWhole(host.plan);
    }
    t.diagnostic(`${won} of 4 rounds had a restore that succeeded`);
  });

  it("the later one succeeds when the earlier has not committed, and the earlier one fails", async () => {
    await using host = await newHost();
    await using beside = await tempDir("tool");
    const slow = await slowTool(beside.path, "after");
    await using earlier = startJob(argsFor(host.plan, slow.tool));
    await during(earlier, slow.arrived());
    const later = await etcdBackup(argsFor(host.plan), env);
    assert.equal(later.code, 0, later.stderr);
    const made = await treeOf(host.path);
    await slow.goOn();
    assert.equal((await exitOf(earlier)).code, 1, earlier.output());
    assert.match(
      earlier.output(),
      /^etcd-backup: another restore is using .*; this one was cancelled\n {2}hint: run one restore of a directory at a time$/m,
    );
    assert.deepEqual(await treeOf(host.path), made);
    await assertWhole(host.plan);
  });
});
