import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { EtcdRestore } from "../../../src/api/v1alpha1/etcd-restore.ts";
import { binary } from "../../harness/binaries.ts";
import { etcdBackup, s3Store } from "../../harness/etcd-backup.ts";
import { type RunningProcess, startProcess, tempDir } from "../../harness/process.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf, resourceObject } from "../../support/custom-resources.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { type FakeNode, fakeNode } from "../../support/fake-node.ts";
import type { StoreAccess } from "../../support/store-check.ts";

const image = "registry.example.com/etcd:v3.6.16";
const operatorImage = "registry.example.com/etcd-backup:test";

describe("an EtcdRestore", { concurrency: false }, () => {
  let bench: Bench;
  let node: FakeNode;
  let operator: Operator;
  let backupName = "";
  const keys = 7;

  before(async () => {
    bench = await startBench();
    node = fakeNode(bench.api.kubectl, bench.kube);
    for (let i = 0; i < keys; i += 1) await bench.etcd.etcdctl(["put", `/key/${i}`, `value ${i}`]);
    operator = await start();
    await bench.addStore("store");
    await bench.kube.apply(bench.backupObject("good", "store"));
    await bench.kube.wait("etcdbackup/good", "condition=Succeeded");
    backupName = (await bench.kube.backup("good")).status.artifact?.name ?? "";
  });
  afterEach(() => {
    bench.network.fault = () => undefined;
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const start = () => startOperator(bench.api, { args: ["--lease-duration", "5", "--image", operatorImage] });

  function restoreObject(
    name: string,
    over: { source?: object; cluster?: object; spec?: object } = {},
  ): object {
    const cluster = { name, image, replicas: 1, storage: { size: "1Gi" }, ...over.cluster };
    const source = over.source ?? { backupRef: { name: "good" } };
    return resourceObject("EtcdRestore", name, { source, target: { cluster }, ...over.spec });
  }
  const read = (name: string): Promise<EtcdRestore> => bench.kube.restore(name);
  const succeededOf = (restore: EtcdRestore) => conditionOf(restore, "Succeeded");
  const waitForReason = (name: string, reason: string) =>
    bench.kube.waitReason(`etcdrestore/${name}`, "Succeeded", reason, { seconds: 60 });
  const objectsOf = async (name: string): Promise<string[]> => {
    const kinds = "persistentvolumeclaims,jobs,services,statefulsets,poddisruptionbudgets";
    const selector = `app.kubernetes.io/instance=${name}`;
    const list = await bench.api.kubectl(["get", kinds, "-l", selector, "-o", "name"]);
    return list
      .split("\n")
      .filter((line) => line !== "")
      .toSorted();
  };

  /** The restore has failed with this reason and a matching message, and created nothing. */
  async function assertRefused(name: string, reason: string, message: RegExp): Promise<void> {
    await bench.kube.wait(`etcdrestore/${name}`, "condition=Finished", { seconds: 60 });
    const restore = await read(name);
    const succeeded = succeededOf(restore);
    assert.deepEqual([succeeded?.status, succeeded?.reason], ["False", reason], succeeded?.message);
    assert.match(succeeded?.message ?? "", message);
    assert.equal(conditionOf(restore, "Stalled")?.status, "True");
    assert.deepEqual(await objectsOf(name), []);
    const events = await bench.kube.events(name);
    assert.ok(
      events.some((event) => event.type === "Warning" && event.reason === reason),
      JSON.stringify(events),
    );
  }

  describe("is refused and creates nothing", () => {
    const source = (backup: string) => ({
      store: { storeRef: { name: "store" }, clusterName: "prod", backup },
    });

    it("when the store holds no such backup", async () => {
      const missing = backupName.replace(/.{4}$/, "zzzz");
      await bench.kube.apply(restoreObject("no-backup", { source: source(missing) }));
      await assertRefused("no-backup", "BackupNotFound", new RegExp(`no backup ${missing}`));
    });

    it("when the EtcdBackup does not exist", async () => {
      const over = { source: { backupRef: { name: "nobody" } }, spec: { backoffLimit: 0 } };
      await bench.kube.apply(restoreObject("no-resource", over));
      await assertRefused("no-resource", "BackupNotFound", /there is no EtcdBackup nobody in this namespace/);
    });

    it("when the stored object is damaged", async () => {
      await bench.addStore("damaged");
      await bench.kube.apply(bench.backupObject("flipped", "damaged", { compression: "None" }));
      await bench.kube.wait("etcdbackup/flipped", "condition=Succeeded");
      const key = (await bench.objects("damaged")).find((name) => name.endsWith(".db")) ?? "";
      const { url, env } = s3Store(bench.s3, "damaged");
      await using dir = await tempDir("flipped");
      const file = join(dir.path, "snapshot.db");
      await etcdBackup(["fetch", "latest", "--store", url, "-o", file], env);
      const bytes = await readFile(file);
      bytes[8_192] = (bytes[8_192] ?? 0) ^ 1;
      await bench.raw.send(new PutObjectCommand({ Bucket: "damaged", Key: key, Body: bytes }));
      await bench.kube.apply(restoreObject("damaged", { source: { backupRef: { name: "flipped" } } }));
      await assertRefused("damaged", "BackupDamaged", /stored SHA-256: the manifest says/);
    });

    it("when the image's etcd is older than the backup's", async () => {
      const cluster = { image: "registry.example.com/etcd:v3.5.35" };
      await bench.kube.apply(restoreObject("old-etcd", { cluster }));
      await assertRefused(
        "old-etcd",
        "VersionTooOld",
        /the backup is of etcd 3\.6\.\d+, and .*v3\.5\.35 has etcd 3\.5/,
      );
    });

    it("when the image's tag gives no version", async () => {
      await bench.kube.apply(restoreObject("no-tag", { cluster: { image: "registry.example.com/etcd" } }));
      await assertRefused("no-tag", "InvalidConfiguration", /contains no etcd version \(set spec\.target/);
    });

    it("when the volumes are too small", async () => {
      await bench.kube.apply(restoreObject("small", { cluster: { storage: { size: "100Mi" } } }));
      await assertRefused("small", "StorageTooSmall", /needs 134 MB while it is restored, .* is 100Mi/);
    });

    it("when a PersistentVolumeClaim of the name exists", async () => {
      const claim = {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "data-stale-0", namespace: "default" },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
      };
      await bench.kube.apply(claim);
      await bench.kube.apply(restoreObject("stale"));
      await assertRefused(
        "stale",
        "TargetExists",
        /PersistentVolumeClaim data-stale-0 exists and does not belong to this restore/,
      );
    });

    it("when a StatefulSet of the name exists", async () => {
      const labels = { app: "other" };
      const set = {
        apiVersion: "apps/v1",
        kind: "StatefulSet",
        metadata: { name: "taken", namespace: "default" },
        spec: {
          serviceName: "other",
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "none" }] } },
        },
      };
      await bench.kube.apply(set);
      await bench.kube.apply(restoreObject("taken"));
      await assertRefused(
        "taken",
        "TargetExists",
        /StatefulSet taken exists and does not belong to this restore/,
      );
    });

    it("when the store is a directory of the operator's host", async () => {
      await using dir = await tempDir("dirstore");
      await mkdir(join(dir.path, "s"));
      await bench.kube.apply(
        bench.storeObject("dir", { s3: undefined, file: { path: join(dir.path, "s") } }),
      );
      await bench.kube.wait("etcdbackupstore/dir", "condition=Ready");
      const from = { store: { storeRef: { name: "dir" }, clusterName: "prod" } };
      await bench.kube.apply(restoreObject("from-dir", { source: from }));
      await assertRefused("from-dir", "InvalidConfiguration", /needs an s3 store/);
    });
  });

  it("restores a verified cluster though the operator is killed at each step", async () => {
    // An event is written after the status: an operator that is killed in between never writes it.
    const eventIs = (reason: string) =>
      eventually(`the event ${reason} is written`, async () =>
        (await bench.kube.events("back")).some((event) => event.reason === reason),
      );
    const killAndStart = async () => {
      await operator.process.kill();
      operator = await start();
    };
    // The first kill comes while the operator reads the backup.
    const reading = bench.hold(({ operation, url }) => operation === "Get" && /\.db/.test(url));
    await bench.kube.apply(restoreObject("back"));
    await reading.reached();
    await killAndStart();
    reading.release();
    await waitForReason("back", "RestoringMembers");
    await eventIs("BackupVerified");
    const before = await read("back");
    assert.deepEqual(before.status.members, [
      { name: "back-0", volume: "data-back-0", phase: "Restoring", attempts: 1 },
    ]);
    await killAndStart();
    // A Job that does not start: the condition gives the reason.
    await node.jobHangs("back-0-restore-1", {
      container: "restore",
      reason: "ErrImagePull",
      message: "not found",
    });
    await eventually("the condition names the image pull error", async () =>
      /back-0-restore-1-pod: restore: ErrImagePull \(not found\)/.test(
        succeededOf(await read("back"))?.message ?? "",
      ),
    );
    // A Job that fails is retried, with its termination message in the condition.
    await node.jobFails("back-0-restore-1", {
      container: "fetch",
      exitCode: 1,
      message: "the store is gone",
    });
    await eventually("the condition has the termination message", async () =>
      /member back-0: fetch: the store is gone/.test(succeededOf(await read("back"))?.message ?? ""),
    );
    await killAndStart();
    await eventually("the second Job is created", async () =>
      (await objectsOf("back")).includes("job.batch/back-0-restore-2"),
    );
    await killAndStart();
    await node.jobSucceeds("back-0-restore-2");
    await waitForReason("back", "StartingCluster");
    await eventIs("MembersRestored");
    await killAndStart();
    await eventually("the StatefulSet is created", async () =>
      (await objectsOf("back")).includes("statefulset.apps/back"),
    );
    assert.deepEqual(await objectsOf("back"), [
      "job.batch/back-0-restore-1",
      "job.batch/back-0-restore-2",
      "persistentvolumeclaim/data-back-0",
      "poddisruptionbudget.policy/back",
      "service/back-client",
      "service/back-peers",
      "statefulset.apps/back",
    ]);

    await using dir = await tempDir("restored");
    const { token = "" } = (await read("back")).status;
    const restored = {
      token,
      backupName,
      access: s3Store(bench.s3, "store"),
      dataDir: join(dir.path, "data"),
    };
    await using member = await startRestoredMember(restored);
    await node.membersReady("back", [memberAddress]);
    await bench.kube.wait("etcdrestore/back", "condition=Succeeded", { seconds: 60 });
    assert.ok(member.running);

    const { status } = await read("back");
    assert.equal(status.verification?.keys, keys);
    assert.deepEqual(status.verification?.members, ["back-0"]);
    assert.equal(status.verification?.revision, (status.source?.revision ?? 0) + 1_000_000_000);
    assert.deepEqual(Object.keys(status.durations ?? {}).toSorted(), [
      "prove",
      "restore",
      "start",
      "total",
      "verify",
    ]);
    for (const reason of ["RestoringMembers", "ClusterStarted", "RestoreSucceeded"]) await eventIs(reason);

    // Deleting the EtcdRestore deletes nothing of the cluster.
    const objects = await objectsOf("back");
    const uid = (await read("back")).metadata.uid;
    await bench.api.kubectl(["delete", "etcdrestore", "back"]);
    assert.deepEqual(await objectsOf("back"), objects);
    // The record in the store protects against an API server that is restored to a state before this restore.
    assert.ok((await bench.objects("store")).includes(`prod/restores/${uid}.json`));
  });

  it("stops at whichever step it is deleted and leaves the volumes", async () => {
    const remove = (name: string) => bench.api.kubectl(["delete", "etcdrestore", name, "--wait"]);
    const reading = bench.hold(({ operation, url }) => operation === "Get" && /\.db/.test(url));
    await bench.kube.apply(restoreObject("reading"));
    await reading.reached();
    await remove("reading");
    reading.release();

    await bench.kube.apply(restoreObject("restoring"));
    await waitForReason("restoring", "RestoringMembers");
    await remove("restoring");
    await node.jobSucceeds("restoring-0-restore-1");

    await bench.kube.apply(restoreObject("starting"));
    await waitForReason("starting", "RestoringMembers");
    await node.jobSucceeds("starting-0-restore-1");
    await waitForReason("starting", "StartingCluster");
    await remove("starting");
    await node.membersReady("starting", ["127.7.0.2"]);

    // When the next restore has reached its Jobs, the deleted ones would have gone on by now.
    await bench.kube.apply(restoreObject("next"));
    await waitForReason("next", "RestoringMembers");
    assert.deepEqual(await objectsOf("reading"), []);
    const restored = (name: string) => [
      `job.batch/${name}-0-restore-1`,
      `persistentvolumeclaim/data-${name}-0`,
    ];
    assert.deepEqual(await objectsOf("restoring"), restored("restoring"));
    assert.deepEqual(await objectsOf("starting"), [
      ...restored("starting"),
      "poddisruptionbudget.policy/starting",
      "service/starting-client",
      "service/starting-peers",
      "statefulset.apps/starting",
    ]);
    const claims = JSON.parse(
      await bench.api.kubectl(["get", "pvc", "data-restoring-0", "data-starting-0", "-o", "json"]),
    ) as { items: { metadata: { ownerReferences?: unknown; deletionTimestamp?: string } }[] };
    for (const { metadata } of claims.items)
      assert.deepEqual([metadata.ownerReferences, metadata.deletionTimestamp], [undefined, undefined]);
  });

  it("fails without another attempt when a container's exit code is permanent", async () => {
    await bench.kube.apply(restoreObject("hopeless"));
    await waitForReason("hopeless", "RestoringMembers");
    await node.jobFails("hopeless-0-restore-1", {
      container: "fetch",
      exitCode: 4,
      message: "it does not verify",
    });
    await bench.kube.wait("etcdrestore/hopeless", "condition=Finished");
    const restore = await read("hopeless");
    assert.deepEqual(succeededOf(restore)?.reason, "MemberFailed");
    assert.match(succeededOf(restore)?.message ?? "", /member hopeless-0: fetch: it does not verify/);
  });

  it("is not run again when the store has a record that it has ended", async () => {
    const { metadata } = await (async () => {
      // No operator runs meanwhile: the record has to exist before the operator sees the object.
      await operator.process.stop();
      await bench.kube.apply(restoreObject("ghost"));
      return read("ghost");
    })();
    const record = { formatVersion: 1, uid: metadata.uid, completedAt: "2026-11-20T10:00:00Z" };
    const Key = `prod/restores/${metadata.uid}.json`;
    await bench.raw.send(new PutObjectCommand({ Bucket: "store", Key, Body: JSON.stringify(record) }));
    operator = await start();
    await bench.kube.wait("etcdrestore/ghost", "condition=Succeeded", { seconds: 60 });
    assert.equal(succeededOf(await read("ghost"))?.reason, "RestoredBefore");
    assert.deepEqual(await objectsOf("ghost"), []);
  });
});

const memberAddress = "127.7.0.1";

/** The member back-0 at a loopback address: restores the backup with the token of the EtcdRestore and starts etcd on it. */
async function startRestoredMember(restored: {
  token: string;
  backupName: string;
  access: StoreAccess;
  dataDir: string;
}): Promise<RunningProcess> {
  const { token, backupName, access, dataDir } = restored;
  const peer = `http://${memberAddress}:2380`;
  const restore = ["restore", backupName, "--store", access.url, "--name", "back-0", "--data-dir", dataDir];
  const cluster = ["--initial-cluster", `back-0=${peer}`, "--initial-cluster-token", token];
  const tool = ["--etcdutl", await binary("etcdutl", "3.6")];
  const { code, stderr } = await etcdBackup([...restore, ...cluster, ...tool], access.env);
  assert.equal(code, 0, stderr);
  return startProcess(await binary("etcd", "3.6"), [
    "--name=back-0",
    `--data-dir=${dataDir}`,
    `--listen-client-urls=http://${memberAddress}:2379`,
    `--advertise-client-urls=http://${memberAddress}:2379`,
    `--listen-peer-urls=${peer}`,
    `--listen-metrics-urls=http://${memberAddress}:2381`,
  ]);
}
