import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { S3Request } from "../../support/s3-fault-proxy.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";
import { exitOf } from "../../support/running-process.ts";

/** In seconds. A busy machine cannot renew a shorter lease in time. */
const leaseSeconds = 5;

describe("two operators", () => {
  let bench: Bench;
  let operators: AsyncDisposableStack;
  let a: Operator;
  let b: Operator;
  before(async () => {
    bench = await startBench();
    await fillTwoParts(bench.etcd);
  });
  beforeEach(async () => {
    operators = new AsyncDisposableStack();
    a = await start();
    await eventually("the first operator leads", () => leads(a));
    b = await start();
  });
  afterEach(async () => {
    bench.network.fault = () => undefined;
    bench.api.resume();
    await operators.disposeAsync();
  });
  after(() => bench[Symbol.asyncDispose]());

  const start = async () =>
    operators.use(await startOperator(bench.api, { args: ["--lease-duration", String(leaseSeconds)] }));
  const leads = async (operator: Operator) =>
    /^etcd_backup_operator_leader 1$/m.test((await operator.get("/metrics"))?.body ?? "");
  const worked = (operator: Operator) => operator.process.output().includes('"msg":"decided"');
  const isPart = ({ operation }: S3Request) => operation === "Part";
  const isManifest = ({ operation, url }: S3Request) =>
    operation === "Put" && /\/prod\/[^/]+\.json/.test(url);

  async function addStore(name: string): Promise<void> {
    await bench.addStore(name);
    await bench.kube.wait(`etcdbackupstore/${name}`, "condition=Ready");
  }

  /** Waits for the backup to succeed. The store then holds it and nothing else. */
  async function assertOnlyBackup(name: string, attempts: number): Promise<void> {
    await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded", { seconds: 60 });
    const { status } = await bench.kube.backup(name);
    assert.equal(status.attempts, attempts);
    assert.deepEqual(await bench.manifests(name), [status.artifact?.name]);
    assert.equal((await bench.objects(name)).length, 2, "data and manifest");
    assert.deepEqual(await bench.unfinished(name), []);
  }

  it("are both ready, and the standby does nothing", async () => {
    await addStore("idle");
    await bench.kube.apply(bench.backupObject("idle", "idle"));
    await assertOnlyBackup("idle", 1);
    assert.equal((await b.get("/readyz"))?.status, 200);
    assert.deepEqual([await leads(a), await leads(b)], [true, false]);
    assert.deepEqual([worked(a), worked(b)], [true, false]);
    // Both serve the same metrics of the last backup.
    const latest = /^etcd_backup_last_revision\{.*\} \d+$/m;
    const series = async (operator: Operator) =>
      latest.exec((await operator.get("/metrics"))?.body ?? "")?.[0];
    const seriesOfLeader = await series(a);
    assert.notEqual(seriesOfLeader, undefined);
    await eventually(
      "the standby has the metrics of the backup",
      async () => (await series(b)) === seriesOfLeader,
    );
  });

  it("on SIGTERM release the Lease: the other one continues at once, and no attempt is counted", async () => {
    await addStore("term");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("term", "term", { backoffLimit: 0 }));
    await part.reached();
    a.process.signal("SIGTERM");
    part.release();
    await exitOf(a.process);
    assert.match(a.process.output(), /"msg":"no longer leading"/);
    await assertOnlyBackup("term", 1);
    assert.equal(await leads(b), true);
  });

  it("paused past its lease during an upload, the leader writes nothing after the standby took over", async () => {
    await addStore("frozen");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("frozen", "frozen"));
    await part.reached();
    a.process.pause();
    part.release();
    await assertOnlyBackup("frozen", 2);
    assert.equal(await leads(b), true);
    const made = await bench.kube.backup("frozen");
    const objects = await bench.objects("frozen");

    a.process.resume();
    await eventually("the first operator has stopped leading", async () =>
      /"msg":"no longer leading"/.test(a.process.output()),
    );
    await eventually("its metrics show it", async () => !(await leads(a)));
    assert.deepEqual(await bench.kube.backup("frozen"), made);
    assert.deepEqual(await bench.objects("frozen"), objects);
    assert.deepEqual(await bench.unfinished("frozen"), []);
    assert.equal(await leads(b), true);
  });

  it("paused right before the manifest, the leader does not write it after its lease", async () => {
    await addStore("late");
    // The pause begins before the answer to the last request before the manifest.
    const complete = bench.hold(({ operation }) => operation === "Complete");
    await bench.kube.apply(bench.backupObject("late", "late"));
    await complete.reached();
    a.process.pause();
    complete.release();
    await assertOnlyBackup("late", 2);
    const before = bench.network.seen.filter(isManifest).length;
    a.process.resume();
    await eventually("the first operator has stopped leading", async () =>
      /"msg":"no longer leading"/.test(a.process.output()),
    );
    assert.equal(bench.network.seen.filter(isManifest).length, before);
    assert.equal((await bench.manifests("late")).length, 1);
  });

  it("paused while its manifest is stored, the leader leaves the backup that the standby has recorded", async () => {
    await addStore("taken");
    // The store has the manifest, and the leader never gets the answer.
    bench.network.fault = (request) => {
      if (!isManifest(request)) return undefined;
      a.process.pause();
      return { do: "loseAnswer" };
    };
    await bench.kube.apply(bench.backupObject("taken", "taken"));
    await assertOnlyBackup("taken", 1);
    bench.network.fault = () => undefined;
    const made = await bench.kube.backup("taken");

    a.process.resume();
    await eventually("the first operator has stopped leading", async () =>
      /"msg":"no longer leading"/.test(a.process.output()),
    );
    await assertOnlyBackup("taken", 1);
    assert.deepEqual(await bench.kube.backup("taken"), made);
  });

  it("paused with its manifest under way until the standby has made another backup, the leader removes its own", async () => {
    await addStore("twice");
    const manifest = bench.hold(isManifest);
    await bench.kube.apply(bench.backupObject("twice", "twice"));
    await manifest.reached();
    a.process.pause();
    // The hold ends for later requests; the first manifest is still held.
    bench.network.fault = () => undefined;
    await assertOnlyBackup("twice", 2);
    manifest.release();
    await eventually(
      "the first manifest is stored",
      async () => (await bench.manifests("twice")).length === 2,
    );
    a.process.resume();
    await eventually("the first operator has stopped leading", async () =>
      /"msg":"no longer leading"/.test(a.process.output()),
    );
    await assertOnlyBackup("twice", 2);
  });

  it("paused with its manifest under way, which is stored while the standby cleans up, the leader has made the backup", async () => {
    await addStore("between");
    const manifest = bench.hold(isManifest);
    await bench.kube.apply(bench.backupObject("between", "between", { backoffLimit: 0 }));
    await manifest.reached();
    a.process.pause();
    // The standby has already looked for the manifest, and finds it when it lists the orphans.
    bench.network.fault = async ({ operation }) => {
      if (operation !== "Other" || (await bench.manifests("between")).length > 0) return undefined;
      manifest.release();
      await eventually("the manifest is stored", async () => (await bench.manifests("between")).length === 1);
      return undefined;
    };
    await assertOnlyBackup("between", 1);
    bench.network.fault = () => undefined;
    const made = await bench.kube.backup("between");
    a.process.resume();
    await eventually("the first operator has stopped leading", async () =>
      /"msg":"no longer leading"/.test(a.process.output()),
    );
    await assertOnlyBackup("between", 1);
    assert.deepEqual(await bench.kube.backup("between"), made);
  });

  it("on SIGTERM keep the attempt when the store does not answer whether the manifest is stored", async () => {
    await addStore("doubt");
    const manifest = bench.hold(isManifest);
    await bench.kube.apply(bench.backupObject("doubt", "doubt", { backoffLimit: 0 }));
    await manifest.reached();
    a.process.signal("SIGTERM");
    manifest.release({ do: "loseAnswer" });
    bench.network.fault = ({ operation }) =>
      operation === "Head" ? { do: "answer", status: 503, code: "SlowDown" } : undefined;
    await exitOf(a.process);
    bench.network.fault = () => undefined;
    await assertOnlyBackup("doubt", 1);
  });

  it("ask a store that stops answering at the manifest until it answers, and it holds one backup", async () => {
    await addStore("silent");
    let landed = false;
    bench.network.fault = (request) => {
      if (landed) return { do: "answer", status: 503, code: "SlowDown" };
      landed = isManifest(request);
      return landed ? { do: "loseAnswer" } : undefined;
    };
    await bench.kube.apply(bench.backupObject("silent", "silent"));
    await eventually("the condition says that the manifest cannot be looked for", async () => {
      const { status } = await bench.kube.backup("silent");
      return (status.conditions ?? []).some(({ message }) =>
        message.includes("it is unknown what the attempt stored"),
      );
    });
    bench.network.fault = () => undefined;
    await assertOnlyBackup("silent", 1);
  });

  it("without the API server: the leader stops in time, and later one of them finishes the backup", async () => {
    await addStore("apart");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("apart", "apart"));
    await part.reached();
    bench.api.pause();
    await eventually("the leader has stopped leading", async () =>
      /"why":"the Lease could not be renewed in time"/.test(a.process.output()),
    );
    part.release();
    assert.deepEqual([await leads(a), await leads(b)], [false, false]);
    bench.api.resume();
    await assertOnlyBackup("apart", 2);
    assert.deepEqual([await leads(a), await leads(b)].filter(Boolean).length, 1);
  });
});
