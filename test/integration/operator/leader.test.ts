import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { S3Request } from "../../support/s3-fault-proxy.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";
import { exitOf } from "../../support/running-process.ts";

/** Seconds. The shortest that a loaded machine keeps up. */
const leaseSeconds = 5;

describe("two operators, of which one works", () => {
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
    await eventually("the first one leads", () => leads(a));
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

  /** The backup is made, and the store holds it and nothing else. */
  async function onlyBackup(name: string, attempts: number): Promise<void> {
    await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded", { seconds: 60 });
    const { status } = await bench.kube.backup(name);
    assert.equal(status.attempts, attempts);
    assert.deepEqual(await bench.manifests(name), [status.artifact?.name]);
    assert.equal((await bench.objects(name)).length, 2, "data and manifest");
    assert.deepEqual(await bench.unfinished(name), []);
  }

  it("both are ready, and the one that stands by does nothing", async () => {
    await addStore("idle");
    await bench.kube.apply(bench.backupObject("idle", "idle"));
    await onlyBackup("idle", 1);
    assert.equal((await b.get("/readyz"))?.status, 200);
    assert.deepEqual([await leads(a), await leads(b)], [true, false]);
    assert.deepEqual([worked(a), worked(b)], [true, false]);
    // What it is asked by Prometheus is the same in both.
    const latest = /^etcd_backup_last_revision\{.*\} \d+$/m;
    const series = async (operator: Operator) =>
      latest.exec((await operator.get("/metrics"))?.body ?? "")?.[0];
    const told = await series(a);
    assert.notEqual(told, undefined);
    await eventually("the other knows of the backup", async () => (await series(b)) === told);
  });

  it("SIGTERM gives the lease back: the other goes on at once, and no attempt is used up", async () => {
    await addStore("term");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("term", "term", { backoffLimit: 0 }));
    await part.reached();
    a.process.signal("SIGTERM");
    part.release();
    await exitOf(a.process);
    assert.match(a.process.output(), /"msg":"no longer leading"/);
    await onlyBackup("term", 1);
    assert.equal(await leads(b), true);
  });

  it("stopped past its lease in the middle of an upload, it finds its work taken over and touches nothing", async () => {
    await addStore("frozen");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("frozen", "frozen"));
    await part.reached();
    a.process.pause();
    part.release();
    await onlyBackup("frozen", 2);
    assert.equal(await leads(b), true);
    const made = await bench.kube.backup("frozen");
    const objects = await bench.objects("frozen");

    a.process.resume();
    await eventually("it stands by", async () => /"msg":"no longer leading"/.test(a.process.output()));
    await eventually("its metrics say so", async () => !(await leads(a)));
    assert.deepEqual(await bench.kube.backup("frozen"), made);
    assert.deepEqual(await bench.objects("frozen"), objects);
    assert.deepEqual(await bench.unfinished("frozen"), []);
    assert.equal(await leads(b), true);
  });

  it("stopped right before the manifest, it does not write it any more", async () => {
    await addStore("late");
    // The answer to the last request before the manifest: all that is left to do is to commit.
    const complete = bench.hold(({ operation }) => operation === "Complete");
    await bench.kube.apply(bench.backupObject("late", "late"));
    await complete.reached();
    a.process.pause();
    complete.release();
    await onlyBackup("late", 2);
    const before = bench.network.seen.filter(isManifest).length;
    a.process.resume();
    await eventually("it stands by", async () => /"msg":"no longer leading"/.test(a.process.output()));
    assert.equal(bench.network.seen.filter(isManifest).length, before);
    assert.equal((await bench.manifests("late")).length, 1);
  });

  it("stopped with its manifest on the way, it leaves the backup that the other has recorded meanwhile", async () => {
    await addStore("taken");
    // The store has it, and tells nobody.
    bench.network.fault = (request) => {
      if (!isManifest(request)) return undefined;
      a.process.pause();
      return { do: "loseAnswer" };
    };
    await bench.kube.apply(bench.backupObject("taken", "taken"));
    await onlyBackup("taken", 1);
    bench.network.fault = () => undefined;
    const made = await bench.kube.backup("taken");

    a.process.resume();
    await eventually("it stands by", async () => /"msg":"no longer leading"/.test(a.process.output()));
    await onlyBackup("taken", 1);
    assert.deepEqual(await bench.kube.backup("taken"), made);
  });

  it("stopped with its manifest on the way for so long that the other began anew, it takes it back", async () => {
    await addStore("twice");
    const manifest = bench.hold(isManifest);
    await bench.kube.apply(bench.backupObject("twice", "twice"));
    await manifest.reached();
    a.process.pause();
    // Held are the manifests of both now; the first one stays so.
    bench.network.fault = () => undefined;
    await onlyBackup("twice", 2);
    manifest.release();
    await eventually("the first one has landed", async () => (await bench.manifests("twice")).length === 2);
    a.process.resume();
    await eventually("it stands by", async () => /"msg":"no longer leading"/.test(a.process.output()));
    await onlyBackup("twice", 2);
  });

  it("stopped with its manifest on the way, which lands while the other clears away, it has made the backup", async () => {
    await addStore("between");
    const manifest = bench.hold(isManifest);
    await bench.kube.apply(bench.backupObject("between", "between", { backoffLimit: 0 }));
    await manifest.reached();
    a.process.pause();
    // The other has looked for it by then, and will see it when it lists what is to be cleared.
    bench.network.fault = async ({ operation }) => {
      if (operation !== "Other" || (await bench.manifests("between")).length > 0) return undefined;
      manifest.release();
      await eventually("it has landed", async () => (await bench.manifests("between")).length === 1);
      return undefined;
    };
    await onlyBackup("between", 1);
    bench.network.fault = () => undefined;
    const made = await bench.kube.backup("between");
    a.process.resume();
    await eventually("it stands by", async () => /"msg":"no longer leading"/.test(a.process.output()));
    await onlyBackup("between", 1);
    assert.deepEqual(await bench.kube.backup("between"), made);
  });

  it("asked to stop while the store does not say whether the manifest landed, it hands no attempt back", async () => {
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
    await onlyBackup("doubt", 1);
  });

  it("a store that falls silent with the manifest on the way is asked until it answers, and holds one backup", async () => {
    await addStore("silent");
    let landed = false;
    bench.network.fault = (request) => {
      if (landed) return { do: "answer", status: 503, code: "SlowDown" };
      landed = isManifest(request);
      return landed ? { do: "loseAnswer" } : undefined;
    };
    await bench.kube.apply(bench.backupObject("silent", "silent"));
    await eventually("it says that it cannot tell", async () => {
      const { status } = await bench.kube.backup("silent");
      return (status.conditions ?? []).some(({ message }) =>
        message.includes("it is unknown what the attempt stored"),
      );
    });
    bench.network.fault = () => undefined;
    await onlyBackup("silent", 1);
  });

  it("without the API server the leader stops in time, and afterwards one of them ends the backup", async () => {
    await addStore("apart");
    const part = bench.hold(isPart);
    await bench.kube.apply(bench.backupObject("apart", "apart"));
    await part.reached();
    bench.api.pause();
    await eventually("it has stopped by itself", async () =>
      /"why":"the lease could not be renewed in time"/.test(a.process.output()),
    );
    part.release();
    assert.deepEqual([await leads(a), await leads(b)], [false, false]);
    bench.api.resume();
    await onlyBackup("apart", 2);
    assert.deepEqual([await leads(a), await leads(b)].filter(Boolean).length, 1);
  });
});
