import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { EtcdBackup } from "../../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../../../src/api/v1alpha1/etcd-backup-schedule.ts";
import { etcdBackup, s3Store } from "../../harness/etcd-backup.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf, resourceObject } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

/** Seconds. The schedule of the verifications has a time each minute. */
const patience = 150;

describe("the verification of stored backups on a schedule", () => {
  let bench: Bench;
  let operator: Operator;
  /** The two backups of the series, in the order of their making. */
  let first: EtcdBackup;
  let second: EtcdBackup;
  let damagedKey: string;
  let soundBytes: Uint8Array;

  before(async () => {
    bench = await startBench();
    await bench.addStore("proved");
    // The operator probes a store three times in this time.
    operator = await startOperator(bench.api, { args: ["--lease-duration", "3", "--hold-duration", "15"] });
    await bench.kube.apply(
      resourceObject("EtcdBackupSchedule", "prod", {
        schedule: "0 0 1 1 *",
        retention: { keepLast: 2 },
        template: {
          spec: {
            clusterName: "prod",
            storeRef: { name: "proved" },
            etcd: { endpoints: bench.etcd.endpoints },
          },
        },
      }),
    );
    first = await trigger("one");
    second = await trigger("two");
    damagedKey = second.status.artifact?.url.split("/").slice(-2).join("/") ?? "";
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  /** One more backup of the series, once retention has been carried out after it. */
  async function trigger(token: string): Promise<EtcdBackup> {
    await bench.etcd.etcdctl(["put", "/key", token]);
    const annotation = `etcdbackup.dev/trigger=${token}`;
    await bench.api.kubectl(["annotate", "etcdbackupschedule/prod", annotation, "--overwrite"]);
    await eventually(
      `backup ${token} is made, and retention carried out`,
      async () => {
        const { status } = await bench.kube.get<EtcdBackupSchedule>("etcdbackupschedule/prod");
        return status.retention?.after !== undefined && status.retention.after === (await made(token));
      },
      60,
    );
    return bench.kube.backup(await made(token));
  }

  /** Name of the EtcdBackup that the trigger has created. */
  async function made(token: string): Promise<string> {
    const json = await bench.api.kubectl(["get", "etcdbackups", "-o", "json"]);
    const { items } = JSON.parse(json) as { items: EtcdBackup[] };
    const found = items.find(({ metadata }) => metadata.annotations?.["etcdbackup.dev/trigger"] === token);
    return found?.metadata.name ?? "";
  }

  const put = (key: string, bytes: Uint8Array) =>
    bench.raw.send(new PutObjectCommand({ Bucket: "proved", Key: key, Body: bytes }));
  const metrics = async () => (await operator.get("/metrics"))?.body ?? "";
  const latest = async () => {
    const { url, env } = s3Store(bench.s3, "proved");
    return etcdBackup(["status", "latest", "--store", url, "--cluster-name", "prod", "-o", "json"], env);
  };

  it("finds a stored backup that was corrupted in the bucket, and leaves it in place", async () => {
    const answer = await bench.raw.send(new GetObjectCommand({ Bucket: "proved", Key: damagedKey }));
    soundBytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
    const damaged = Buffer.from(soundBytes);
    damaged.writeUInt8(damaged.readUInt8(damaged.length >> 1) ^ 1, damaged.length >> 1);
    await put(damagedKey, damaged);
    await bench.kube.apply(
      bench.storeObject("proved", { verify: { schedule: "* * * * *", which: "Latest", maxRate: "10Mi" } }),
    );
    await bench.kube.waitReason("etcdbackupstore/proved", "Verified", "VerificationFailed", {
      seconds: patience,
    });
    const { status } = await bench.kube.store("proved");
    const name = second.status.artifact?.name ?? "";
    assert.match(
      conditionOf({ status }, "Verified")?.message ?? "",
      new RegExp(`prod/${name}, at .*SHA-256`),
    );
    assert.equal(conditionOf({ status }, "Ready")?.status, "True");
    assert.deepEqual(
      status.verification?.failing?.map(({ backup }) => backup),
      [name],
    );
    assert.equal(status.latestBackup?.name, first.status.artifact?.name);
    assert.ok((await bench.objects("proved")).includes(damagedKey));
  });

  it("tells it by events and the condition of the EtcdBackup, and by metrics", async () => {
    const { name } = second.metadata;
    await bench.kube.waitReason(`etcdbackup/${name}`, "Verified", "VerificationFailed");
    assert.equal(conditionOf(await bench.kube.backup(name), "Succeeded")?.status, "True");
    for (const object of ["proved", name])
      await eventually(`the event about ${object} is written`, async () =>
        (await bench.kube.events(object)).some(
          ({ type, reason }) => type === "Warning" && reason === "VerificationFailed",
        ),
      );
    await eventually("the metric shows it", async () =>
      /^etcd_backup_verification_failed\{namespace="default",store="proved"\} 1$/m.test(await metrics()),
    );
  });

  it("keeps latest from naming it, and list shows why", async () => {
    const { code, stderr } = await latest();
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`latest is prod/${first.status.artifact?.name}`));
    assert.match(
      stderr,
      new RegExp(`skipped ${second.status.artifact?.name}: its last verification failed on`),
    );
    const { url, env } = s3Store(bench.s3, "proved");
    const { stdout: table } = await etcdBackup(["list", "--store", url], env);
    assert.match(table, new RegExp(`${second.status.artifact?.name} .*its last verification failed on`));
  });

  it("keeps retention from counting it in place of a good one, and from removing it", async () => {
    const third = await trigger("three");
    const stored = await bench.objects("proved");
    for (const { status } of [first, second, third])
      assert.ok(stored.includes(`prod/${status.artifact?.name}.json`), stored.join("\n"));
    assert.ok(stored.includes(damagedKey));
  });

  it("ends the alarm once the backup is repaired", async () => {
    await put(damagedKey, soundBytes);
    await bench.kube.waitReason("etcdbackupstore/proved", "Verified", "Verified", { seconds: patience });
    await bench.kube.wait(`etcdbackup/${second.metadata.name}`, "condition=Verified");
    await eventually("the event is written", async () =>
      (await bench.kube.events("proved")).some(({ reason }) => reason === "VerifiedAgain"),
    );
    await eventually("the metrics show it", async () => {
      const text = await metrics();
      return (
        /^etcd_backup_verification_failed\{.*store="proved"\} 0$/m.test(text) &&
        /^etcd_backup_verification_last_success_timestamp_seconds\{.*store="proved"\} \d{10}$/m.test(text)
      );
    });
  });
});
