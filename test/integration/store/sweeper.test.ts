import assert from "node:assert/strict";
import { mkdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { sweepAbandoned, sweepRun } from "../../../src/backup/catalog/orphans.ts";
import { openStore } from "../../../src/store/open.ts";
import { parseStoreUrl } from "../../../src/store/url.ts";
import { etcdBackupPath, s3Store } from "../../harness/etcd-backup.ts";
import type { EtcdCluster } from "../../harness/etcd-cluster.ts";
import { type RunningProcess, startProcess, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { startOperator } from "../../support/operator-process.ts";
import { fill } from "../../support/sample-data.ts";
import { type StoreAccess, checkStore } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { saveArgs } from "../../support/save-command.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

const signal = AbortSignal.timeout(300_000);
const hour = 3_600_000;

let bench: Bench;

before(async () => {
  bench = await startBench();
  await fill(bench.etcd, 18);
});
after(() => bench[Symbol.asyncDispose]());

interface Writer extends AsyncDisposable {
  readonly process: RunningProcess;
  release(): void;
}

/** Starts a save that is held in the middle of its stream, with an upload or a temporary file begun. */
async function startWriter(etcd: EtcdCluster, { url, env }: StoreAccess): Promise<Writer> {
  await using stack = new AsyncDisposableStack();
  const member = stack.use(await startTcpFaultProxy(etcd.endpoints[0] ?? ""));
  member.holdAfter(12_000_000);
  const args = saveArgs(etcd, url, { clusterName: "prod", endpoints: [member.endpoint] });
  const save = stack.use(startProcess(etcdBackupPath, [...args, "--compression", "none"], { env }));
  await during(save, member.held());
  const started = stack.move();
  return {
    process: save,
    release: () => member.release(),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** Waits for the next whole second and returns it: stores count time in seconds, so everything earlier is older and everything later is not. */
async function nextSecond(): Promise<Date> {
  const moment = new Date(Math.floor(Date.now() / 1000 + 1) * 1000);
  await delay(moment.getTime() - Date.now());
  return moment;
}

const unfinishedOf = async (access: StoreAccess) => (await checkStore(access)).leftovers;
const runOf = (name: string | undefined) => /Z-([0-9a-z]+)\.db/.exec(name ?? "")?.[1] ?? assert.fail(name);

for (const kind of ["versitygw", "minio", "file"] as const) {
  describe(`with two saves at the same time into a store (${kind})`, () => {
    it("the sweeper removes what was begun before its age limit, and the other save succeeds", async () => {
      await using stack = new AsyncDisposableStack();
      const access = await newStore(kind, stack);
      await using store = await openStore(parseStoreUrl(access.url), { env: access.env });
      const query = { clusterName: "prod", signal };
      const beforeBoth = await nextSecond();
      await using firstSave = await startWriter(bench.etcd, access);
      await eventually("the first save has begun", async () => (await unfinishedOf(access)).length === 1);
      const between = await nextSecond();
      const [firstLeftover] = await unfinishedOf(access);
      await using secondSave = await startWriter(bench.etcd, access);
      await eventually("the second save has begun", async () => (await unfinishedOf(access)).length === 2);
      const secondLeftover = (await unfinishedOf(access)).find((name) => name !== firstLeftover);

      assert.equal(await sweepAbandoned(store, { before: beforeBoth, signal }), 0);
      const later = new Date(Date.now() + hour);
      for (const runPrefix of ["0123456789abx", `${runOf(secondLeftover)}x`]) {
        assert.equal(await sweepRun(store, { ...query, runPrefix, before: later }), 0);
      }
      const another = { ...query, clusterName: "pro", runPrefix: runOf(secondLeftover), before: later };
      assert.equal(await sweepRun(store, another), 0);
      assert.deepEqual(await unfinishedOf(access), [firstLeftover, secondLeftover].toSorted());

      assert.equal(await sweepAbandoned(store, { before: between, signal }), 1);
      assert.equal(await sweepRun(store, { ...query, runPrefix: runOf(firstLeftover), before: later }), 0);
      assert.deepEqual(await unfinishedOf(access), [secondLeftover]);

      for (const writer of [firstSave, secondSave]) writer.release();
      const [swept, made] = await Promise.all([exitOf(firstSave.process), exitOf(secondSave.process)]);
      assert.equal(made.code, 0, secondSave.process.output());
      assert.equal(swept.code, 1, firstSave.process.output());
      assert.match(firstSave.process.output(), /etcd-backup: (storing|completing|writing) .*prod\//);
      const { backups, leftovers } = await checkStore(access);
      assert.deepEqual(
        backups.map((name) => name.endsWith(runOf(secondLeftover))),
        [true],
      );
      assert.deepEqual(leftovers, []);
    });
  });
}

async function newStore(
  kind: "versitygw" | "minio" | "file",
  stack: AsyncDisposableStack,
): Promise<StoreAccess> {
  if (kind === "file") return { url: `file://${stack.use(await tempDir("sweeper")).path}`, env: {} };
  const s3 = kind === "minio" ? stack.use(await startS3(kind)) : bench.s3;
  await s3.createBucket("two");
  return s3Store(s3, "two", "some/folder");
}

describe("an operator beside another writer of the same store", () => {
  const args = ["--no-leader-elect"];
  const isPart = ({ operation, url }: { operation: string; url: string }) =>
    operation === "Part" && url.startsWith("/shared/");

  /** Creates data without a manifest that was last written so many hours ago. */
  async function orphan(bucket: string, name: string, hoursAgo: number): Promise<void> {
    const file = join(bench.s3.rootDir, bucket, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, "left behind");
    const then = new Date(Date.now() - hoursAgo * hour);
    await utimes(file, then, then);
  }

  it("removes only what is older than any run can be", async () => {
    await bench.s3.createBucket("aged");
    const access = s3Store(bench.s3, "aged");
    await using writer = await startWriter(bench.etcd, access);
    await eventually("the save has begun", async () => (await unfinishedOf(access)).length === 1);
    const [live = ""] = await unfinishedOf(access);
    const young = "prod/20260101T000000Z-0123456789abx1.db.zst";
    await orphan("aged", "prod/20260101T000000Z-0123456789abx2.db.zst", 25.1);
    await orphan("aged", "other/20260101T000000Z-abcdef.db", 25.1);
    await orphan("aged", young, 24.9);
    await orphan("aged", "prod/notes.txt", 1000);
    await orphan("aged", ".probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", 25.1);
    await using _ = await startOperator(bench.api, { args });
    await bench.kube.apply(bench.storeObject("aged"));
    await bench.kube.wait("etcdbackupstore/aged", "condition=Ready");
    const files = await backupFilesBelow(join(bench.s3.rootDir, "aged"));
    assert.deepEqual(
      files.filter((name) => !name.startsWith(".sgwtmp/")),
      [young, "prod/notes.txt"],
    );
    assert.deepEqual(await bench.unfinished("aged"), [live]);
    writer.release();
    assert.equal((await exitOf(writer.process)).code, 0, writer.process.output());
  });

  it("removes only the upload of a killed operator, for a retried and for a deleted backup", async () => {
    await bench.addStore("shared");
    const access = s3Store(bench.s3, "shared");
    await using writer = await startWriter(bench.etcd, access);
    await eventually("the save has begun", async () => (await unfinishedOf(access)).length === 1);
    const [live = ""] = await unfinishedOf(access);
    for (const [name, deleted] of [
      ["again", false],
      ["deleted", true],
    ] as const) {
      await using killed = await startOperator(bench.api, { args });
      const part = bench.hold(isPart);
      await bench.kube.apply(bench.backupObject(name, "shared", { deletionPolicy: "Delete" }));
      await part.reached();
      await killed.process.kill();
      part.release({ do: "reset" });
      assert.equal((await bench.unfinished("shared")).length, 2);
      if (deleted) await bench.api.kubectl(["delete", "etcdbackup", name, "--wait=false"]);

      await using _ = await startOperator(bench.api, { args });
      await bench.kube.wait(`etcdbackup/${name}`, deleted ? "delete" : "condition=Succeeded");
      assert.deepEqual(await bench.unfinished("shared"), [live]);
    }
    writer.release();
    assert.equal((await exitOf(writer.process)).code, 0, writer.process.output());
    const { backups, leftovers } = await checkStore(access);
    assert.equal(backups.length, 2);
    assert.deepEqual(leftovers, []);
  });
});
