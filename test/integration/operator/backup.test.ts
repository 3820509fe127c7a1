import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { etcdBackup, s3Store } from "../../harness/etcd-backup.ts";
import { tempDir } from "../../harness/process.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf, secret, statusesOf } from "../../support/custom-resources.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

const password = "pass-word-of-etcd-root";

describe("the operator backs up a cluster of three members with TLS and a password", () => {
  let bench: Bench;
  let operator: Operator;

  before(async () => {
    bench = await startBench({ etcd: { members: 3, tls: true, auth: { username: "root", password } } });
    for (let i = 0; i < 20; i += 1) await bench.etcd.etcdctl(["put", `/app/key-${i}`, `value ${i}`]);
    await bench.etcd.etcdctl(["del", "/app/key-3"]);
    operator = await startOperator(bench.api);
    await bench.addStore("main");
    await bench.kube.apply(bench.backupObject("first", "main"));
    await bench.kube.wait("etcdbackup/first", "condition=Succeeded");
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  it("sets every condition to the result, for the generation that it observed", async () => {
    const backup = await bench.kube.backup("first");
    assert.deepEqual(statusesOf(backup), {
      Finished: "True",
      Succeeded: "True",
      Ready: "True",
      Reconciling: "False",
      Stalled: "False",
    });
    assert.equal(backup.status.observedGeneration, backup.metadata.generation);
    for (const condition of backup.status.conditions ?? []) {
      assert.equal(condition.observedGeneration, backup.metadata.generation, condition.type);
      assert.equal(condition.reason, "Succeeded", condition.type);
    }
    assert.equal(backup.status.attempts, 1);
  });

  it("records the status that etcdutl gives for the stored snapshot, and the member", async () => {
    const { status } = await bench.kube.backup("first");
    await using dir = await tempDir("fetch");
    const file = join(dir.path, "snapshot.db");
    const { url, env } = s3Store(bench.s3, "main");
    const fetched = await etcdBackup(["fetch", status.artifact?.name ?? "", "--store", url, "-o", file], env);
    assert.equal(fetched.code, 0, fetched.stderr);
    const fromEtcdutl = JSON.parse(await bench.etcd.etcdutl(["snapshot", "status", file, "-w", "json"])) as {
      hash: number;
      revision: number;
      totalKey: number;
      totalSize: number;
    };
    assert.equal(status.snapshot?.hash, fromEtcdutl.hash.toString(16));
    assert.equal(status.snapshot?.revision, fromEtcdutl.revision);
    assert.equal(status.snapshot?.totalKeys, fromEtcdutl.totalKey);
    assert.equal(status.snapshot?.totalSizeBytes, fromEtcdutl.totalSize);
    assert.equal(status.snapshot?.liveKeys, 19);
    assert.equal(status.snapshot?.etcdVersion, status.member?.version);
    assert.ok(bench.etcd.endpoints.includes(status.member?.endpoint ?? ""), status.member?.endpoint);
    assert.equal(status.member?.isLeader, false);
    assert.notEqual(status.member?.name, (await bench.etcd.leader()).name);
    assert.deepEqual(
      status.hashKV?.membersCompared.toSorted(),
      bench.etcd.members.map(({ name }) => name),
    );
    const hashes = await bench.etcd.etcdctl([
      "endpoint",
      "hashkv",
      `--rev=${status.hashKV?.revision}`,
      "-w",
      "json",
    ]);
    assert.equal(Number(/"hash":(\d+)/.exec(hashes)?.[1]), status.hashKV?.hash);
  });

  it("writes an event for each step, in order", async () => {
    await eventually("there are four events", async () => (await bench.kube.events("first")).length >= 4);
    const events = await bench.kube.events("first");
    assert.deepEqual(
      events.map(({ type, reason }) => `${type} ${reason}`),
      ["Normal SnapshotStarted", "Normal MemberSelected", "Normal MembersAgree", "Normal SnapshotSucceeded"],
    );
    const { status } = await bench.kube.backup("first");
    assert.ok(events[1]?.note.includes(status.member?.name ?? "?"), events[1]?.note);
    assert.ok(events[3]?.note.includes(status.artifact?.name ?? "?"), events[3]?.note);
  });

  it("names the EtcdBackup in the manifest, which is stored at the URL of the status", async () => {
    const { metadata, status } = await bench.kube.backup("first");
    const [manifest] = await bench.manifests("main");
    assert.equal(manifest, status.artifact?.name);
    const key = `prod/${manifest}.json`;
    assert.ok(status.artifact?.manifestURL.endsWith(`/main/${key}`), status.artifact?.manifestURL);
    const text = await readObject(bench, "main", key);
    const { owner, stored } = JSON.parse(text) as { owner: unknown; stored: { object: string } };
    assert.deepEqual(owner, {
      kind: "EtcdBackup",
      namespace: "default",
      name: "first",
      uid: metadata.uid,
    });
    assert.deepEqual((await bench.objects("main")).toSorted(), [key, stored.object].toSorted());
    assert.ok(status.artifact?.url.endsWith(`/main/${stored.object}`), status.artifact?.url);
  });

  it("fills the columns that kubectl prints", async () => {
    const table = await bench.api.kubectl(["get", "etcdbackups", "first", "-o", "wide"]);
    const [header = "", row = ""] = table.trimEnd().split("\n");
    assert.deepEqual(header.split(/\s{2,}/), [
      "NAME",
      "CLUSTER",
      "STATUS",
      "REVISION",
      "SIZE",
      "COMPLETED",
      "AGE",
      "MEMBER",
      "HASH",
      "DURATION",
      "URL",
    ]);
    const { status } = await bench.kube.backup("first");
    const cells = row.split(/\s{2,}/);
    assert.deepEqual(cells.slice(0, 5), [
      "first",
      "prod",
      "Succeeded",
      String(status.snapshot?.revision),
      status.snapshot?.size,
    ]);
    assert.deepEqual(cells.slice(7), [
      status.member?.name,
      status.snapshot?.hash,
      status.duration,
      status.artifact?.url,
    ]);
    await bench.kube.wait("etcdbackupstore/main", "jsonpath={.status.backups}=1");
    const stores = await bench.api.kubectl(["get", "etcdbackupstores", "main"]);
    assert.match(stores, /^NAME +READY +REASON +LOCATION +BACKUPS +LATEST +AGE\n/);
    assert.match(stores, /\nmain +True +Reachable +s3:\/\/main +1 +\d+s +\d+s/);
    const store = await bench.kube.store("main");
    assert.equal(store.status.latestBackup?.name, status.artifact?.name);
    assert.equal(store.status.latestBackup?.revision, status.snapshot?.revision);
    assert.equal(store.status.latestBackup?.clusterName, "prod");
  });

  it("serves metrics of the backup and of the store", async () => {
    const { status } = await bench.kube.backup("first");
    const { body = "" } = (await operator.get("/metrics")) ?? {};
    const value = (series: string) =>
      Number(
        body
          .split("\n")
          .find((line) => line.startsWith(`${series} `))
          ?.slice(series.length),
      );
    const labels = '{namespace="default",cluster="prod"}';
    assert.equal(value('etcd_backup_total{namespace="default",cluster="prod",result="succeeded"}'), 1);
    assert.equal(value(`etcd_backup_last_revision${labels}`), status.snapshot?.revision);
    assert.equal(value(`etcd_backup_last_size_bytes${labels}`), status.snapshot?.totalSizeBytes);
    assert.equal(value(`etcd_backup_last_stored_bytes${labels}`), status.artifact?.storedBytes);
    const completed = Date.parse(status.completionTime ?? "") / 1000;
    assert.ok(Math.abs(value(`etcd_backup_last_success_timestamp_seconds${labels}`) - completed) < 10);
    assert.equal(value('etcd_backup_store_ready{namespace="default",store="main"}'), 1);
    assert.equal(value("etcd_backup_running"), 0);
    assert.equal((await operator.get("/healthz"))?.status, 200);
    assert.equal((await operator.get("/nothing"))?.status, 404);
  });

  it("stores uncompressed data and reads it back when the spec says so", async () => {
    await bench.kube.apply(
      bench.backupObject("plain", "main", {
        compression: "None",
        verification: { readBack: true, hashKV: "Required" },
      }),
    );
    await bench.kube.wait("etcdbackup/plain", "condition=Succeeded");
    const { status } = await bench.kube.backup("plain");
    assert.equal(status.artifact?.compression, "None");
    // The database and its SHA-256.
    assert.equal(status.artifact?.storedBytes, (status.snapshot?.totalSizeBytes ?? 0) + 32);
    const object = status.artifact?.url.split("/main/")[1] ?? "";
    const reads = bench.network.seen.filter(
      ({ operation, url }) => operation === "Get" && url.includes(object),
    );
    assert.ok(reads.length > 0, "the operator has read the data object");
  });

  it("backs up two objects of one cluster at once", async () => {
    await bench.addStore("pair");
    await bench.kube.apply(bench.backupObject("left", "pair"), bench.backupObject("right", "pair"));
    await bench.kube.wait("etcdbackup/left", "condition=Succeeded");
    await bench.kube.wait("etcdbackup/right", "condition=Succeeded");
    assert.equal((await bench.manifests("pair")).length, 2);
  });

  it("does not compare the members again for a second backup, whose event says how old the result is", async () => {
    await bench.etcd.etcdctl(["put", "/app/later", "value"]);
    await bench.addStore("second");
    await bench.kube.apply(bench.backupObject("second", "second", { verification: { hashKV: "Required" } }));
    await bench.kube.wait("etcdbackup/second", "condition=Succeeded");
    const { status } = await bench.kube.backup("second");
    assert.deepEqual(status.hashKV, (await bench.kube.backup("first")).status.hashKV);
    assert.ok((status.snapshot?.revision ?? 0) > (status.hashKV?.revision ?? Infinity));
    await eventually("the event MembersAgree says it", async () =>
      (await bench.kube.events("second")).some(
        ({ reason, note }) => reason === "MembersAgree" && / compared .+ ago$/.test(note),
      ),
    );
  });

  it("waits for a missing store and goes on as soon as it is created", async () => {
    await bench.kube.apply(bench.backupObject("early", "late-store"));
    await bench.kube.waitReason("etcdbackup/early", "Succeeded", "StoreNotReady");
    const waiting = await bench.kube.backup("early");
    assert.match(conditionOf(waiting, "Succeeded")?.message ?? "", /EtcdBackupStore late-store/);
    assert.equal(conditionOf(waiting, "Finished")?.status, "False");
    await bench.addStore("late-store");
    // Without a wake-up by the new store, the operator would look again only after 30 s.
    await bench.kube.wait("etcdbackup/early", "condition=Succeeded", { seconds: 20 });
    assert.equal((await bench.kube.backup("early")).status.attempts, 1);
  });

  it("writes no secret into its log, its metrics, its objects or the bucket", async () => {
    // A refused password must not be quoted either.
    await bench.kube.apply(
      secret("wrong-user", { username: "root", password: "wrong-hunter2-password" }),
      bench.backupObject("refused", "main", {
        backoffLimit: 0,
        etcd: { auth: { secretRef: { name: "wrong-user" } } },
      }),
    );
    await bench.kube.wait("etcdbackup/refused", "condition=Finished");
    assert.equal(statusesOf(await bench.kube.backup("refused"))["Succeeded"], "False");
    const places: Record<string, string> = {
      "the log": operator.process.output(),
      "the metrics": (await operator.get("/metrics"))?.body ?? "",
      "the API objects": await bench.api.kubectl([
        "get",
        "etcdbackups,etcdbackupstores,events",
        "-A",
        "-o",
        "yaml",
      ]),
    };
    for (const key of await bench.objects("main"))
      if (key.endsWith(".json")) places[key] = await readObject(bench, "main", key);
    assert.match(places["the log"] ?? "", /"backup":"default\/first"/);
    assert.match(places["the API objects"] ?? "", /SnapshotSucceeded/);
    const { tls } = bench.etcd;
    const secrets = [
      bench.s3.secretAccessKey,
      password,
      "wrong-hunter2-password",
      ...[bench.s3.secretAccessKey, password].map((text) => Buffer.from(text).toString("base64")),
      ...(tls?.keyPem.split("\n").filter((line) => line !== "" && !line.startsWith("-----")) ?? []),
    ];
    assert.ok(secrets.length > 6, "the key has lines");
    for (const [place, text] of Object.entries(places))
      for (const value of secrets) assert.ok(!text.includes(value), `${place} holds ${value.slice(0, 4)}…`);
  });
});

async function readObject(bench: Bench, bucket: string, key: string): Promise<string> {
  const { Body } = await bench.raw.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return (await Body?.transformToString()) ?? "";
}
