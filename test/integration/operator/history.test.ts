import assert from "node:assert/strict";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { after, before, describe, it } from "node:test";
import type { EtcdBackup, EtcdBackupStatus } from "../../../src/api/v1alpha1/etcd-backup.ts";
import { type ApiServer, startApiServer } from "../../harness/api-server.ts";
import { etcdBackup, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { type Bench, secretsOf, startBench } from "../../support/bench.ts";
import { resourceObject, statusesOf } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Kube, kubeOf } from "../../support/kube.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

/** What an EtcdBackup says about the stored backup. */
function factsOf({ artifact, completionTime, member, runID, snapshot, hashKV }: EtcdBackupStatus) {
  return { artifact, completionTime, member, runID, snapshot, hashKV };
}

describe("the history in a store, in a new Kubernetes cluster", () => {
  let bench: Bench;
  let api: ApiServer;
  let kube: Kube;
  let operator: Operator;
  /** The statuses of the EtcdBackups that made the backups, by the backup's name. */
  const made = new Map<string, EtcdBackupStatus>();

  before(async () => {
    bench = await startBench();
    {
      await using _ = await startOperator(bench.api);
      await bench.addStore("history");
      for (const name of ["one", "two", "three"]) {
        await bench.etcd.etcdctl(["put", "/key", name]);
        await bench.kube.apply(bench.backupObject(name, "history"));
        await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
        const { status } = await bench.kube.backup(name);
        made.set(status.artifact?.name ?? "", status);
      }
      await bench.kube.wait("etcdbackupstore/history", "jsonpath={.status.backups}=3");
      assert.equal(
        (await bench.kube.store("history")).status.catalog?.imported,
        0,
        "each has its EtcdBackup",
      );
    }
    api = await startApiServer();
    await api.applyCrds();
    kube = kubeOf(api.kubectl);
    await kube.apply(...secretsOf(bench.etcd, bench.s3, undefined));
    // The operator probes a store three times in this time.
    const args = ["--lease-duration", "3", "--hold-duration", "15"];
    operator = await startOperator(api, {
      args: [...args, "--image", "registry.example.com/etcd-backup:test"],
    });
    await kube.apply(bench.storeObject("history", { accessMode: "ReadOnly" }));
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  async function records(): Promise<EtcdBackup[]> {
    const json = await api.kubectl([
      "get",
      "etcdbackups",
      "-l",
      "etcdbackup.dev/imported=true",
      "-o",
      "json",
    ]);
    return (JSON.parse(json) as { items: EtcdBackup[] }).items;
  }

  const nameOf = (backup: string) => `prod-${backup.toLowerCase()}`;
  const backupNames = () => [...made.keys()].toSorted();

  it("appears as EtcdBackups with the values of the manifests", async () => {
    await eventually("each backup has a record", async () => (await records()).length === made.size);
    for (const [backup, status] of made) {
      await kube.wait(`etcdbackup/${nameOf(backup)}`, "condition=Succeeded");
      const record = await kube.backup(nameOf(backup));
      assert.deepEqual(factsOf(record.status), factsOf(status));
      assert.equal(statusesOf(record)["Finished"], "True");
    }
    await kube.wait("etcdbackupstore/history", "jsonpath={.status.catalog.imported}=3");
    await eventually("the event is written", async () =>
      (await kube.events("history")).some(({ reason }) => reason === "BackupsImported"),
    );
  });

  it("is the source of a restore", async () => {
    const [backup = ""] = backupNames();
    const cluster = {
      name: "back",
      image: "registry.example.com/etcd:v3.6.16",
      replicas: 1,
      storage: { size: "1Gi" },
    };
    const source = { backupRef: { name: nameOf(backup) } };
    await kube.apply(resourceObject("EtcdRestore", "back", { source, target: { cluster } }));
    await kube.wait("etcdrestore/back", `jsonpath={.status.source.name}=${backup}`);
    const { status } = await kube.restore("back");
    assert.equal(status.source?.sha256, made.get(backup)?.snapshot?.sha256);
    assert.ok(status.verifiedTime !== undefined, "the operator has read the whole backup");
    await api.kubectl(["delete", "etcdrestore", "back"]);
  });

  it("loses no object when a record is deleted, and the record stays away while the next listing adds another", async () => {
    const [backup = ""] = backupNames();
    const stored = await bench.objects("history");
    await api.kubectl(["delete", "etcdbackup", nameOf(backup)]);
    assert.deepEqual(await bench.objects("history"), stored);
    const { url, env } = s3Store(bench.s3, "history");
    await bench.etcd.etcdctl(["put", "/key", "four"]);
    await etcdBackup(["save", ...etcdFlags(bench.etcd), "--store", url, "--cluster-name", "other"], env);
    await eventually("the new backup has a record", async () =>
      (await records()).some(({ spec }) => spec.clusterName === "other"),
    );
    const left = (await records()).flatMap(({ spec }) =>
      spec.clusterName === "prod" ? [spec.imported?.backup] : [],
    );
    assert.deepEqual(left.toSorted(), backupNames().slice(1));
  });

  it("has no record of a backup that was removed from the store, and keeps those of the others", async () => {
    const [, removed = "", kept = ""] = backupNames();
    const { artifact } = made.get(removed) ?? {};
    const data = artifact?.url.split("/").slice(-2).join("/") ?? "";
    for (const Key of [`prod/${removed}.json`, data])
      await bench.raw.send(new DeleteObjectCommand({ Bucket: "history", Key }));
    await eventually("its record is gone", async () =>
      (await records()).every(({ spec }) => spec.imported?.backup !== removed),
    );
    assert.ok((await records()).some(({ spec }) => spec.imported?.backup === kept));
  });

  it("has the deleted record again when a person asks", async () => {
    const [backup = ""] = backupNames();
    await api.kubectl(["annotate", "etcdbackupstore", "history", "etcdbackup.dev/import=again"]);
    await kube.wait("etcdbackupstore/history", "jsonpath={.status.catalog.lastHandledImport}=again");
    await kube.wait(`etcdbackup/${nameOf(backup)}`, "condition=Succeeded");
  });
});
