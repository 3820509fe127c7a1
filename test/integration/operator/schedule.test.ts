import { GetObjectCommand } from "@aws-sdk/client-s3";
import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { EtcdBackup } from "../../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../../../src/api/v1alpha1/etcd-backup-schedule.ts";
import { etcdBackup, etcdBackupPath } from "../../harness/etcd-backup.ts";
import { run, tempDir } from "../../harness/process.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf, resourceObject } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

describe("an EtcdBackupSchedule on a real API server", () => {
  let bench: Bench;
  let operator: Operator;

  before(async () => {
    bench = await startBench();
    await bench.etcd.etcdctl(["put", "/key", "value"]);
    await bench.addStore("scheduled");
    operator = await startOperator(bench.api);
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const scheduleObject = (name: string, spec: object = {}, templateSpec: object = {}) =>
    resourceObject("EtcdBackupSchedule", name, {
      schedule: "* * * * *",
      template: {
        spec: {
          clusterName: name,
          storeRef: { name: "scheduled" },
          etcd: { endpoints: bench.etcd.endpoints },
          ...templateSpec,
        },
      },
      ...spec,
    });
  const scheduleOf = (name: string) => bench.kube.get<EtcdBackupSchedule>(`etcdbackupschedule/${name}`);
  const childrenOf = async (name: string) => {
    const args = ["get", "etcdbackups", "-l", `etcdbackup.dev/schedule=${name}`, "-o", "json"];
    const { items } = JSON.parse(await bench.api.kubectl(args)) as { items: EtcdBackup[] };
    return items.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  };
  const folder = async (name: string) =>
    (await bench.objects("scheduled")).filter((key) => key.startsWith(`${name}/`));

  it("backs up at its creation and each minute, through the death of its operator, and keeps what retention says", async () => {
    await bench.kube.apply(scheduleObject("minutely", { runImmediately: true, retention: { keepLast: 1 } }));
    await eventually(
      "the first backup is listed and known",
      async () => {
        const { status } = await scheduleOf("minutely");
        return status.recoveryWindow?.count === 1;
      },
      60,
    );
    const [first] = await childrenOf("minutely");
    assert.ok(first);
    const firstName = first.status.artifact?.name;
    const manifest = new GetObjectCommand({ Bucket: "scheduled", Key: `minutely/${firstName}.json` });
    const manifestText = (await (await bench.raw.send(manifest)).Body?.transformToString()) ?? "";
    const { uid } = (await bench.kube.get<EtcdBackup>("namespace/kube-system", "default")).metadata;
    assert.deepEqual((JSON.parse(manifestText) as { series: object }).series, {
      name: "minutely",
      namespace: "default",
      kubernetesCluster: uid,
    });
    await operator.process.kill();
    operator = await startOperator(bench.api);
    await eventually(
      "the next backup has replaced the first",
      async () => {
        const { status } = await scheduleOf("minutely");
        return (status.retention?.removed ?? 0) >= 1;
      },
      120,
    );
    const left = await folder("minutely");
    assert.equal(left.filter((key) => key.endsWith(".json")).length, 1, left.join("\n"));
    assert.ok(!left.some((key) => key.includes(firstName ?? "?")));
    const names = (await childrenOf("minutely")).map(({ metadata }) => metadata.name);
    assert.ok(!names.includes(first.metadata.name), "the record of a removed backup goes with it");
    const { status } = await scheduleOf("minutely");
    assert.equal(conditionOf({ status }, "Ready")?.status, "True");
    assert.equal(conditionOf({ status }, "LastBackupSucceeded")?.status, "True");
    assert.equal(conditionOf({ status }, "Retained")?.status, "True");
    const times = (await childrenOf("minutely")).map(
      ({ metadata }) => metadata.annotations?.["etcdbackup.dev/scheduled-at"],
    );
    assert.equal(new Set(times).size, times.length, "no time runs twice");
  });

  it("shows at a glance whether all is well", async () => {
    const table = await bench.api.kubectl(["get", "etcdbackupschedules", "minutely"]);
    const [header = "", row = ""] = table.split("\n");
    assert.match(header, /^NAME +SCHEDULE +SUSPENDED +LAST SUCCESS +NEXT +READY +LAST STATUS +AGE$/);
    assert.match(row, /^minutely +\* \* \* \* \* +false +\d+m?\d*s? +20\S+Z +True +Succeeded/);
  });

  it("runs once for each value of the trigger, while it is suspended", async () => {
    await bench.kube.apply(scheduleObject("paused", { suspend: true }));
    const trigger = async (token: string) => {
      await bench.api.kubectl([
        "annotate",
        "etcdbackupschedule/paused",
        `etcdbackup.dev/trigger=${token}`,
        "--overwrite",
      ]);
      await eventually(
        `trigger ${token} is handled`,
        async () => (await scheduleOf("paused")).status.lastHandledTrigger === token,
        30,
      );
    };
    await trigger("one");
    await eventually(
      "it has succeeded",
      async () => conditionOf(await scheduleOf("paused"), "LastBackupSucceeded")?.status === "True",
      30,
    );
    await trigger("two");
    assert.equal((await childrenOf("paused")).length, 2);
    assert.equal(conditionOf(await scheduleOf("paused"), "Ready")?.reason, "Suspended");
  });

  it("makes a backup for etcd-backup trigger, which waits for it, also as a plugin of kubectl", async () => {
    await using bin = await tempDir("plugin");
    const plugin = join(bin.path, "kubectl-etcd_backup");
    await symlink(etcdBackupPath, plugin);
    const args = ["trigger", "paused", "-n", "default", "--kubeconfig", bench.api.kubeconfigPath];
    const waited = await etcdBackup([...args, "--wait", "--timeout", "1m", "-o", "json"]);
    assert.equal(waited.code, 0, waited.stderr);
    const result = JSON.parse(waited.stdout) as {
      backup: string;
      succeeded: boolean;
      stored: { name: string };
    };
    const { status } = await bench.kube.backup(result.backup);
    assert.deepEqual([result.succeeded, result.stored.name], [true, status.artifact?.name]);
    const told = await run(plugin, args);
    assert.equal(told.code, 0, told.stderr);
    assert.match(
      told.stdout,
      /^ETCDBACKUP +paused-now-[0-9a-f]{10}\nNAMESPACE +default\nSTATE +triggered\n$/,
    );
    const unknown = await etcdBackup(args.with(1, "nobody"));
    assert.equal(unknown.code, 3);
    assert.match(
      unknown.stderr,
      /no EtcdBackupSchedule nobody in namespace default.*kubectl get etcdbackupschedules -A/s,
    );
  });

  it("says what is wrong with a schedule that only the parser can judge", async () => {
    await bench.kube.apply(scheduleObject("never", { schedule: "0 0 31 2 *" }));
    await bench.kube.waitReason("etcdbackupschedule/never", "Ready", "InvalidSchedule");
    await bench.kube.apply(scheduleObject("nowhere", { timeZone: "Europe/Atlantis" }));
    await bench.kube.waitReason("etcdbackupschedule/nowhere", "Ready", "InvalidSchedule");
    const { message = "" } = conditionOf(await scheduleOf("nowhere"), "Ready") ?? {};
    assert.match(message, /Europe\/Atlantis.*IANA/);
  });

  it("is refused with words where the API server can judge it", async () => {
    for (const [object, message] of [
      [scheduleObject("fields", { schedule: "0 0 * *" }), /must have five fields/],
      [scheduleObject("x".repeat(64), {}, { clusterName: "c" }), /must have at most 63 characters/],
      [scheduleObject("jitter", { jitter: "5 minutes" }), /must be seconds, minutes or hours/],
      [scheduleObject("keep", { retention: { keepWithin: "soon" } }), /must be a time such as 36h/],
      [scheduleObject("policy", {}, { deletionPolicy: "Delete" }), /deletionPolicy/],
      [scheduleObject("paused", { suspend: true }, { clusterName: "other" }), /cannot be changed/],
    ] as const)
      await assert.rejects(bench.kube.apply(object), message);
  });

  it("leaves its EtcdBackups and its stored backups when it is deleted", async () => {
    await bench.api.kubectl(["delete", "etcdbackupschedule/paused"]);
    assert.equal((await childrenOf("paused")).length, 4);
    assert.ok((await folder("paused")).filter((key) => key.endsWith(".json")).length >= 3);
  });
});
