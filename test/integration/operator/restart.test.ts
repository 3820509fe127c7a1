import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { etcdBackup, etcdBackupJson, s3Store } from "../../harness/etcd-backup.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";
import { exitOf } from "../../support/running-process.ts";
import type { S3Request } from "../../support/s3-fault-proxy.ts";

describe("a backup outlives the operator that began it", () => {
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

  /** The lease is short, as the successor of an operator that was killed has to wait for its end. */
  const start = async (args: string[] = []) =>
    operators.use(await startOperator(bench.api, { args: ["--lease-duration", "5", ...args] }));

  /** An operator with a store of this name, probed: what comes next is the backup's own. */
  async function operatorWithStore(store: string, args: string[] = []): Promise<Operator> {
    const operator = await start(args);
    await bench.addStore(store);
    await bench.kube.wait(`etcdbackupstore/${store}`, "condition=Ready");
    return operator;
  }

  /** The questions after every fault: one backup, that verifies, and nothing beside it. */
  async function holdsOneBackup(store: string): Promise<void> {
    const { url, env } = s3Store(bench.s3, store);
    const [manifest, ...more] = await bench.manifests(store);
    assert.deepEqual(more, [], "one backup");
    assert.equal((await bench.kube.backup(store)).status.artifact?.name, manifest);
    assert.equal((await bench.objects(store)).length, 2, "data and manifest");
    assert.deepEqual(await bench.unfinished(store), []);
    const listed = await etcdBackupJson<{ name: string }[]>(["list", "--store", url], env);
    assert.deepEqual(
      listed.map(({ name }) => name),
      [manifest],
    );
    const verified = await etcdBackup(["verify", "latest", "--store", url], env);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  }

  it("SIGTERM in the middle of the upload: it tidies up and exits 0, and the next one makes the backup", async () => {
    const operator = await operatorWithStore("stopped");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("stopped", "stopped", { backoffLimit: 0 }));
    await part.reached();
    operator.process.signal("SIGTERM");
    // Kubernetes waits for 30 s; nothing here has to be waited for.
    await eventually("the operator ends", async () => !operator.process.running, 8);
    assert.deepEqual(await exitOf(operator.process), { code: 0, signal: null });
    part.release();
    assert.deepEqual(await bench.unfinished("stopped"), []);
    assert.deepEqual(await bench.objects("stopped"), []);
    assert.match(operator.process.output(), /"msg":"stopped"/);

    await start();
    await bench.kube.wait("etcdbackup/stopped", "condition=Succeeded");
    // Stopping in good order, as every rollout does, uses up no attempt.
    assert.equal((await bench.kube.backup("stopped")).status.attempts, 1);
    await holdsOneBackup("stopped");
  });

  it("the API server is killed in the middle of the upload: the backup is made, and its end is recorded", async () => {
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
    await holdsOneBackup("offline");
  });

  it("with --max-concurrent-backups 1 the second of two says that it waits, and follows the first", async () => {
    const operator = await operatorWithStore("queue", ["--max-concurrent-backups", "1"]);
    const part = bench.hold(isPart, () => bench.s3.pause());
    await bench.kube.apply(bench.backupObject("queue", "queue"));
    await part.reached();
    await bench.kube.apply(bench.backupObject("queue-2", "queue"));
    await bench.kube.wait(
      "etcdbackup/queue-2",
      'jsonpath={.status.conditions[?(@.type=="Succeeded")].message}=the operator waits for a free slot: --max-concurrent-backups limits how many backups run at once',
    );
    assert.equal(conditionOf(await bench.kube.backup("queue-2"), "Succeeded")?.reason, "Pending");
    assert.match((await operator.get("/metrics"))?.body ?? "", /^etcd_backup_running 1$/m);
    bench.s3.resume();
    part.release();
    await bench.kube.wait("etcdbackup/queue", "condition=Succeeded");
    await bench.kube.wait("etcdbackup/queue-2", "condition=Succeeded");
    assert.equal((await bench.manifests("queue")).length, 2);
  });

  it("a store that hangs ends the backup when its time is up, and leaves nothing behind", async () => {
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

  it("a store that refuses when the operator comes back does not keep the backup waiting for ever", async () => {
    const operator = await operatorWithStore("vanished");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("vanished", "vanished", { timeoutSeconds: 12 }));
    await part.reached();
    await operator.process.kill();
    part.release();
    bench.network.fault = ({ url }) =>
      url.startsWith("/vanished") ? { do: "answer", status: 403, code: "AccessDenied" } : undefined;
    await start();
    // Nobody knows yet whether the first attempt had finished: no second one starts.
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
