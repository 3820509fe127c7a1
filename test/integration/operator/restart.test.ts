import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { s3Store } from "../../harness/etcd-backup.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";
import { exitOf } from "../../support/running-process.ts";
import type { S3Request } from "../../support/s3-fault-proxy.ts";
import { assertHoldsBackups } from "../../support/store-check.ts";

describe("a backup survives a stop of the operator or a server", () => {
  let bench: Bench;
  let operators: AsyncDisposableStack;

  before(async () => {
    bench = await startBench();
    await fillTwoParts(bench.etcd);
  });
  beforeEach(() => {
    operators = new AsyncDisposableStack();
  });
  afterEach(async () => {
    bench.network.fault = () => undefined;
    bench.s3.resume();
    bench.api.resume();
    await operators.disposeAsync();
  });
  after(() => bench[Symbol.asyncDispose]());

  const isPart = ({ operation }: S3Request) => operation === "Part";

  /** The same member for etcd, and another one for the operator. */
  const otherSpelling = () => bench.etcd.endpoints.map((url) => url.replace("127.0.0.1", "localhost"));

  /** With a short lease, since the successor of a killed operator waits for its end. */
  const start = async (args: string[] = []) =>
    operators.use(await startOperator(bench.api, { args: ["--lease-duration", "5", ...args] }));

  /** Starts an operator and waits until it has probed a new store of this name, so that the next requests are the backup's. */
  async function operatorWithStore(store: string, args: string[] = []): Promise<Operator> {
    const operator = await start(args);
    await bench.addStore(store);
    await bench.kube.wait(`etcdbackupstore/${store}`, "condition=Ready");
    return operator;
  }

  /** The store holds the backup of the status and nothing else. */
  async function assertHoldsOneBackup(store: string): Promise<void> {
    const { status } = await bench.kube.backup(store);
    assert.deepEqual(await bench.manifests(store), [status.artifact?.name]);
    assert.equal((await bench.objects(store)).length, 2, "data and manifest");
    assert.deepEqual(await bench.unfinished(store), []);
    assert.deepEqual(await assertHoldsBackups(s3Store(bench.s3, store), 1), [status.artifact?.name]);
  }

  it("SIGTERM during the upload: the operator aborts it and exits with 0, and the next one makes the backup", async () => {
    const operator = await operatorWithStore("stopped");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("stopped", "stopped", { backoffLimit: 0 }));
    await part.reached();
    operator.process.signal("SIGTERM");
    // Kubernetes would wait for 30 s.
    await eventually("the operator exits", async () => !operator.process.running, 8);
    assert.deepEqual(await exitOf(operator.process), { code: 0, signal: null });
    part.release();
    assert.deepEqual(await bench.unfinished("stopped"), []);
    assert.deepEqual(await bench.objects("stopped"), []);
    assert.match(operator.process.output(), /"msg":"stopped"/);

    await start();
    await bench.kube.wait("etcdbackup/stopped", "condition=Succeeded");
    // A graceful stop, such as a rollout, counts no attempt.
    assert.equal((await bench.kube.backup("stopped")).status.attempts, 1);
    await assertHoldsOneBackup("stopped");
  });

  it("the API server is killed during the upload: the backup is made and recorded when it is back", async () => {
    await operatorWithStore("offline", ["--lease-duration", "30"]);
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("offline", "offline"));
    await part.reached();
    await bench.api.kill();
    part.release();
    const folder = join(bench.s3.rootDir, "offline", "prod");
    await eventually("the manifest is in the bucket", async () => {
      const names = await readdir(folder).catch(() => []);
      return names.some((name) => name.endsWith(".json"));
    });
    await bench.api.start();
    await bench.kube.wait("etcdbackup/offline", "condition=Succeeded");
    assert.equal((await bench.kube.backup("offline")).status.attempts, 1);
    await assertHoldsOneBackup("offline");
  });

  it("with --max-concurrent-backups 1 the second backup waits for the first, and its condition says so", async () => {
    const operator = await operatorWithStore("queue", ["--max-concurrent-backups", "1"]);
    const part = bench.hold(isPart, () => bench.s3.pause());
    await bench.kube.apply(bench.backupObject("queue", "queue"));
    await part.reached();
    await bench.kube.apply(bench.backupObject("queue-2", "queue", { etcd: { endpoints: otherSpelling() } }));
    await bench.kube.wait(
      "etcdbackup/queue-2",
      'jsonpath={.status.conditions[?(@.type=="Succeeded")].message}=the operator waits for a free slot: place 1; --max-concurrent-backups limits how many backups run at once',
    );
    assert.equal(conditionOf(await bench.kube.backup("queue-2"), "Succeeded")?.reason, "Pending");
    assert.match((await operator.get("/metrics"))?.body ?? "", /^etcd_backup_running 1$/m);
    bench.s3.resume();
    part.release();
    await bench.kube.wait("etcdbackup/queue", "condition=Succeeded");
    await bench.kube.wait("etcdbackup/queue-2", "condition=Succeeded");
    assert.equal((await bench.manifests("queue")).length, 2);
  });

  it("a second backup of the same etcd holds no slot while it waits, and its condition names the first", async () => {
    const operator = await operatorWithStore("slow", ["--max-concurrent-backups", "2"]);
    await bench.kube.apply(bench.backupObject("slow", "slow", { maxRate: "256Ki" }));
    await bench.kube.waitReason("etcdbackup/slow", "Succeeded", "Streaming");
    await bench.kube.apply(bench.backupObject("slow-2", "slow"));
    await bench.kube.wait(
      "etcdbackup/slow-2",
      'jsonpath={.status.conditions[?(@.type=="Succeeded")].message}=the operator waits for EtcdBackup slow of the same etcd, which is read by one backup at a time',
    );
    assert.match((await operator.get("/metrics"))?.body ?? "", /^etcd_backup_running 1$/m);
    await bench.kube.apply(bench.backupObject("slow-3", "slow", { etcd: { endpoints: otherSpelling() } }));
    await bench.kube.wait("etcdbackup/slow-3", "condition=Succeeded");
    assert.equal((await bench.kube.backup("slow-2")).status.attempts, undefined);
    await bench.api.kubectl(["delete", "etcdbackup", "slow"]);
    await bench.kube.wait("etcdbackup/slow-2", "condition=Succeeded");
  });

  it("a store that hangs: the backup ends after timeoutSeconds and leaves nothing in the store", async () => {
    await operatorWithStore("hangs");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("hangs", "hangs", { timeoutSeconds: 10 }));
    await part.reached();
    await bench.kube.waitReason("etcdbackup/hangs", "Succeeded", "TimedOut");
    part.release();
    const { status } = await bench.kube.backup("hangs");
    assert.equal(status.attempts, 1);
    assert.equal(status.member?.name, "m0");
    assert.deepEqual(await bench.unfinished("hangs"), []);
    assert.deepEqual(await bench.objects("hangs"), []);
  });

  it("a store that refuses requests after a restart: the backup still ends after timeoutSeconds", async () => {
    const operator = await operatorWithStore("vanished");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("vanished", "vanished", { timeoutSeconds: 12 }));
    await part.reached();
    await operator.process.kill();
    part.release();
    bench.network.fault = ({ url }) =>
      url.startsWith("/vanished") ? { do: "answer", status: 403, code: "AccessDenied" } : undefined;
    await start();
    // No second attempt starts while it is unknown whether the first one has finished.
    await bench.kube.waitReason("etcdbackup/vanished", "Succeeded", "OperatorRestarted");
    assert.equal((await bench.kube.backup("vanished")).status.attempts, 1);
    await bench.kube.waitReason("etcdbackup/vanished", "Succeeded", "TimedOut");
    const backup = await bench.kube.backup("vanished");
    assert.equal(conditionOf(backup, "Stalled")?.status, "True");
    assert.match(
      conditionOf(backup, "Succeeded")?.message ?? "",
      /did not finish within 12 s; .*middle of attempt 1.*AccessDenied/,
    );
  });
});
