import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OperatorError } from "../../../src/core/errors.ts";
import { openSnapshotStream } from "../../../src/etcd/snapshot-stream.ts";
import { transfer } from "../../../src/backup/transfer.ts";
import { createFileStore } from "../../../src/store/file/file-store.ts";
import { MaintenanceClient } from "etcd3";
import { ConnectionPool } from "etcd3/lib/connection-pool.js";
import { etcdBackupPath } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { type RunningProcess, startProcess, tempDir } from "../../harness/process.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { fill, marker } from "../../support/sample-data.ts";
import { saveArgs } from "../../support/save-command.ts";
import { type TcpFaultProxy, startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

let cluster: EtcdCluster;

before(async () => {
  cluster = await startEtcd();
  // More than the flow-control window and the socket buffers hold.
  await fill(cluster, 40);
});
after(async () => cluster[Symbol.asyncDispose]());

/** Starts a save from the member behind the proxy. */
function startSave(proxy: TcpFaultProxy, directory: string): RunningProcess {
  const args = saveArgs(cluster, `file://${directory}`, { endpoints: [proxy.endpoint] });
  return startProcess(etcdBackupPath, args);
}

test("save of a snapshot with a flipped bit exits with code 4 and stores nothing", async () => {
  await using dir = await tempDir("flipped");
  await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
  proxy.flip(marker);
  await using run = startSave(proxy, dir.path);
  await during(run, proxy.flipped());
  const { code } = await exitOf(run);
  assert.equal(code, 4, run.output());
  assert.match(run.output(), /etcd-backup: snapshot: the SHA-256 trailer is wrong/);
  assert.match(run.output(), /hint: /);
  assert.deepEqual(await backupFilesBelow(dir.path), []);
});

test("a transfer from a paused member fails after the stall timeout and stores nothing", async () => {
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
  assert.deepEqual(await backupFilesBelow(dir.path), []);
});

test("save from a member that is killed in the stream exits with code 1, names the member and stores nothing", async () => {
  await using dir = await tempDir("killed");
  await using proxy = await startTcpFaultProxy(cluster.endpoints[0] ?? "");
  proxy.holdAfter(4_000_000);
  await using run = startSave(proxy, dir.path);
  await during(run, proxy.held());
  await cluster.members[0]?.kill();
  proxy.release();
  const { code } = await exitOf(run);
  assert.equal(code, 1, run.output());
  assert.match(run.output(), new RegExp(`etcd-backup: snapshot at ${proxy.endpoint}`));
  assert.deepEqual(await backupFilesBelow(dir.path), []);
  await cluster.members[0]?.start();
});
