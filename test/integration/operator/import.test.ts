import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { EtcdBackupStatus } from "../../../src/api/v1alpha1/etcd-backup.ts";
import { type ApiServer, startApiServer } from "../../harness/api-server.ts";
import { etcdBackup, s3Store } from "../../harness/etcd-backup.ts";
import { run } from "../../harness/process.ts";
import { type Bench, secretsOf, startBench } from "../../support/bench.ts";
import { conditionOf, resourceObject, statusesOf } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Kube, kubeOf } from "../../support/kube.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

/** What an EtcdBackup says about the stored backup. */
/** Without the start, which is that of the first attempt in the one and that of the manifest in the other. */
function factsOf({ artifact, completionTime, member, runID, snapshot, hashKV }: EtcdBackupStatus) {
  return { artifact, completionTime, member, runID, snapshot, hashKV };
}

describe("an imported EtcdBackup in a new Kubernetes cluster", () => {
  let bench: Bench;
  let api: ApiServer;
  let kube: Kube;
  let operator: Operator;
  /** The status of the EtcdBackup that made the backup. It is deleted before the new cluster exists. */
  let made: EtcdBackupStatus;
  let stored: string[];

  before(async () => {
    bench = await startBench();
    await bench.etcd.etcdctl(["put", "/key", "value"]);
    {
      await using _ = await startOperator(bench.api);
      await bench.addStore("history");
      await bench.kube.apply(bench.backupObject("nightly", "history"));
      await bench.kube.wait("etcdbackup/nightly", "condition=Succeeded");
      made = (await bench.kube.backup("nightly")).status;
      await bench.api.kubectl(["delete", "etcdbackup", "nightly"]);
    }
    stored = await bench.objects("history");
    bench.network.seen.length = 0;
    api = await startApiServer();
    await api.applyCrds();
    kube = kubeOf(api.kubectl);
    await kube.apply(...secretsOf(bench.etcd, bench.s3, undefined));
    await kube.apply(bench.storeObject("history", { accessMode: "ReadOnly" }));
    operator = await startOperator(api, { args: ["--image", "registry.example.com/etcd-backup:test"] });
    await kube.apply(record("nightly", made.artifact?.name ?? ""));
    await kube.wait("etcdbackup/nightly", "condition=Succeeded");
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const record = (name: string, backup: string, spec: object = {}) =>
    resourceObject("EtcdBackup", name, {
      clusterName: "prod",
      storeRef: { name: "history" },
      imported: { backup },
      ...spec,
    });

  it("has the facts of the EtcdBackup that made the backup, and says that it was imported", async () => {
    const imported = await kube.backup("nightly");
    assert.deepEqual(factsOf(imported.status), factsOf(made));
    assert.equal(imported.status.attempts, undefined);
    assert.deepEqual(statusesOf(imported), {
      Finished: "True",
      Succeeded: "True",
      Ready: "True",
      Reconciling: "False",
      Stalled: "False",
    });
    assert.match(conditionOf(imported, "Succeeded")?.message ?? "", /^imported from the store: /);
    await eventually("the event is written", async () => (await kube.events("nightly")).length > 0);
    const events = await kube.events("nightly");
    assert.deepEqual(
      events.map(({ type, reason }) => `${type} ${reason}`),
      ["Normal BackupImported"],
    );
  });

  it("is as old in the metrics as the backup, which this operator did not make", async () => {
    const { body = "" } = (await operator.get("/metrics")) ?? {};
    const value = /^etcd_backup_last_success_timestamp_seconds\{.*cluster="prod".*\} (\S+)$/m.exec(body)?.[1];
    assert.equal(Number(value), Date.parse(made.completionTime ?? "") / 1000);
    assert.doesNotMatch(body, /^etcd_backup_total\{/m);
  });

  it("is the source of a restore", async () => {
    const cluster = {
      name: "back",
      image: "registry.example.com/etcd:v3.6.16",
      replicas: 1,
      storage: { size: "1Gi" },
    };
    const source = { backupRef: { name: "nightly" } };
    await kube.apply(resourceObject("EtcdRestore", "back", { source, target: { cluster } }));
    await kube.wait("etcdrestore/back", `jsonpath={.status.source.name}=${made.artifact?.name}`);
    const { status } = await kube.restore("back");
    assert.equal(status.source?.sha256, made.snapshot?.sha256);
    assert.ok(status.verifiedTime !== undefined, "the operator has read the whole backup");
    await api.kubectl(["delete", "etcdrestore", "back"]);
  });

  it("fails when the store does not hold the backup in time, and says which one it looked for", async () => {
    const name = "20260820T120000Z-r00000000000000000042-0f1e2d3c4b5ax1";
    await kube.apply(record("missing", name, { timeoutSeconds: 10 }));
    await kube.waitReason("etcdbackup/missing", "Succeeded", "Retrying");
    await kube.wait("etcdbackup/missing", "condition=Finished");
    const succeeded = conditionOf(await kube.backup("missing"), "Succeeded");
    assert.deepEqual([succeeded?.status, succeeded?.reason], ["False", "BackupNotFound"]);
    assert.match(succeeded?.message ?? "", new RegExp(`EtcdBackupStore history holds no backup ${name}`));
  });

  it("is created for every backup in the store by the command in the README", async () => {
    const { url, env } = s3Store(bench.s3, "history");
    const listed = await etcdBackup(["list", "--store", url, "--cluster-name", "prod"], env);
    const readme = await readFile(join(import.meta.dirname, "../../../README.md"), "utf8");
    const program = /etcd-backup list --cluster-name prod \| awk '([^']+)' \| kubectl apply/.exec(
      readme,
    )?.[1];
    assert.ok(program !== undefined, "the README has the command");
    const { stdout } = await run("awk", [program], { input: listed.stdout });
    await api.kubectl(["apply", "-f", "-"], { input: stdout.replaceAll("{name: prod}", "{name: history}") });
    const name = made.artifact?.name.toLowerCase() ?? "";
    await kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
    assert.deepEqual(factsOf((await kube.backup(name)).status), factsOf(made));
    await api.kubectl(["delete", "etcdbackup", name]);
  });

  it("leaves the stored backup when it is deleted; the operator has only read the store", async () => {
    await api.kubectl(["delete", "etcdbackup", "nightly", "missing"]);
    assert.deepEqual(await bench.objects("history"), stored);
    const writes = bench.network.seen.filter(
      ({ operation }) => !["List", "Get", "Head", "Other"].includes(operation),
    );
    assert.deepEqual(
      writes.map(({ operation, url }) => `${operation} ${url}`),
      [],
    );
  });
});
