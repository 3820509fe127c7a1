import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OperatorError } from "../../../src/core/errors.ts";
import { openSnapshotStream } from "../../../src/etcd/snapshot-stream.ts";
import { transfer } from "../../../src/backup/transfer.ts";
import { createFileStore } from "../../../src/store/file/file-store.ts";
import { MaintenanceClient } from "etcd3";
import { ConnectionPool } from "etcd3/lib/connection-pool.js";
import { etcdBackupPath, etcdFlags } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { startProcess, tempDir } from "../../harness/process.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { filesBelow } from "../../support/files.ts";
import { fill, marker } from "../../support/sample-data.ts";
import { type TcpFaultProxy, startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

let cluster: EtcdCluster;
let proxy: TcpFaultProxy;

before(async () => {
  cluster = await startEtcd();
  // More than the flow-control window and the sockets between hold.
  await fill(cluster, 40);
});
after(async () => cluster[Symbol.asyncDispose]());

async function saving(directory: string) {
  proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
  const etcd = etcdFlags(cluster, [proxy.endpoint]);
  const args = ["save", "--store", `file://${directory}`, "--cluster-name", "lab", ...etcd];
  return { proxy, start: () => startProcess(etcdBackupPath, args) };
}

test("a byte that is altered on the way is found by etcd's own digest: exit code 4, and nothing is stored", async () => {
  await using dir = await tempDir("flipped");
  const { proxy: between, start } = await saving(dir.path);
  await using _ = between;
  between.flip(marker);
  await using run = start();
  await during(run, between.flipped());
  const { code } = await exitOf(run);
  assert.equal(code, 4, run.output());
  assert.match(run.output(), /etcd-backup: snapshot: the SHA-256 trailer is wrong/);
  assert.match(run.output(), /hint: /);
  assert.deepEqual(await filesBelow(dir.path), []);
});

test("a member that hangs in the stream is given up after the stall timeout, and nothing is stored", async () => {
  const [member] = cluster.members;
  assert.ok(member);
  const pool = new ConnectionPool({ hosts: member.endpoint });
  const maintenance = new MaintenanceClient(pool);
  const signal = AbortSignal.timeout(30_000);
  await using dir = await tempDir("stalled");
  try {
    await using source = await openSnapshotStream(() => maintenance.snapshot(), {
      endpoint: member.endpoint,
      signal,
      stallMs: 300,
    });
    member.pause();
    const transferring = transfer({
      source,
      store: createFileStore({ path: dir.path }),
      object: "lab/run.db",
      compression: "Zstd",
      signal,
    });
    await assert.rejects(transferring, (error) => {
      assert.ok(error instanceof OperatorError);
      assert.equal(error.code, "SnapshotFailed");
      assert.equal(error.permanent, false);
      assert.match(error.message, /no data for 0\.3 s/);
      return true;
    });
  } finally {
    member.resume();
    pool.close();
  }
  assert.deepEqual(await filesBelow(dir.path), []);
});

test("a member that is killed in the stream: exit code 1, its name, and nothing is stored", async () => {
  await using dir = await tempDir("killed");
  const { proxy: between, start } = await saving(dir.path);
  await using _ = between;
  between.holdAfter(4_000_000);
  await using run = start();
  await during(run, between.held());
  await cluster.members[0]?.kill();
  between.release();
  const { code } = await exitOf(run);
  assert.equal(code, 1, run.output());
  assert.match(run.output(), new RegExp(`etcd-backup: snapshot at ${between.endpoint}`));
  assert.deepEqual(await filesBelow(dir.path), []);
  await cluster.members[0]?.start();
});
