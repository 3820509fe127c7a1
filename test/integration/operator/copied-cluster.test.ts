import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { etcdBackup, etcdBackupJson, s3Store } from "../../harness/etcd-backup.ts";
import { type ApiServer, startApiServer } from "../../harness/api-server.ts";
import type { EtcdCluster } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Kube, kubeOf } from "../../support/kube.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { bootRestored, planMembers, restoreAll, toolFlags } from "../../support/restore.ts";

/** Seconds of silence after which another operator may take over: as few as the flag accepts. */
const holdSeconds = 15;
const flags = ["--lease-duration", "3", "--hold-duration", String(holdSeconds)];

/** A Kubernetes cluster that was restored from a backup of another one: etcd, API server and operator. */
interface Copy extends AsyncDisposable {
  etcd: EtcdCluster;
  api: ApiServer;
  kube: Kube;
  operator: Operator;
}

describe("a Kubernetes cluster whose etcd is backed up by its own operator", () => {
  let bench: Bench;
  let operator: Operator;
  let store: ReturnType<typeof s3Store>;
  const started = new AsyncDisposableStack();

  before(async () => {
    bench = started.use(await startBench());
    store = s3Store(bench.s3, "main");
    operator = started.use(await startOperator(bench.api, { args: flags }));
    await bench.addStore("main");
    await bench.kube.wait("etcdbackupstore/main", "condition=Ready");
  });
  after(() => started.disposeAsync());

  const backUp = async (kube: Kube, name: string, etcd: EtcdCluster, spec: object = {}): Promise<void> =>
    kube.apply(bench.backupObject(name, "main", { etcd: { endpoints: etcd.endpoints }, ...spec }));

  const latest = async (): Promise<{ name: string; cluster: { id: string } }> => {
    const { stderr, code } = await etcdBackup(
      ["verify", "latest", "--store", store.url, "--cluster-name", "prod"],
      store.env,
    );
    assert.equal(code, 0, stderr);
    const name = /latest is prod\/(\S+)/.exec(stderr)?.[1] ?? assert.fail(stderr);
    const listed = await etcdBackupJson<{ name: string; manifest: { cluster: { id: string } } }[]>(
      ["list", "--store", store.url, "--cluster-name", "prod"],
      store.env,
    );
    const { manifest } = listed.find((entry) => entry.name === name) ?? assert.fail(name);
    return { name, cluster: manifest.cluster };
  };

  /** Restores the latest backup into another place, and starts everything that is in it. */
  async function copy(): Promise<Copy> {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await tempDir("copy"));
    const plan = await planMembers(path, 1);
    await restoreAll(
      path,
      plan,
      ["latest", "--store", store.url, "--cluster-name", "prod", ...(await toolFlags("3.6"))],
      store.env,
    );
    const etcd = stack.use(await bootRestored({ members: plan.members }));
    const api = stack.use(await startApiServer({ etcd }));
    const copied = stack.use(await startOperator(api, { args: flags }));
    const kept = stack.move();
    return {
      etcd,
      api,
      kube: kubeOf(api.kubectl),
      operator: copied,
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    };
  }

  it("has a folder that no other etcd cluster gets by a copied manifest, by resource or command line", async () => {
    await backUp(bench.kube, "nightly", bench.api.etcd, { deletionPolicy: "Delete" });
    await bench.kube.wait("etcdbackup/nightly", "condition=Succeeded");
    const ours = await latest();
    await backUp(bench.kube, "copied", bench.etcd);
    await bench.kube.wait("etcdbackup/copied", "condition=Finished");
    const succeeded = conditionOf(await bench.kube.backup("copied"), "Succeeded");
    assert.deepEqual([succeeded?.status, succeeded?.reason], ["False", "FolderClaimed"]);
    assert.match(
      succeeded?.message ?? "",
      new RegExp(`folder prod belongs to etcd cluster ${ours.cluster.id}, and this is cluster [0-9a-f]+`),
    );
    const { code, stderr } = await etcdBackup(
      ["save", "--store", store.url, "--cluster-name", "prod", "--endpoints", bench.etcd.endpoints.join(",")],
      store.env,
    );
    assert.equal(code, 3, stderr);
    assert.match(stderr, /folder prod belongs to etcd cluster .*etcd-backup claim take --cluster-name prod/s);
    assert.equal((await bench.manifests("main")).length, 1);
    assert.equal((await latest()).name, ours.name);
  });

  it("loses nothing to a copy of itself, which waits, says why and deletes nothing", async () => {
    await using beside = await copy();
    const before = await bench.objects("main");
    await beside.kube.waitReason("etcdbackupstore/main", "Writer", "CopyOfLivingWriter");
    // The copy holds this EtcdBackup as it was while it ran. Its backup exists, whoever made it.
    await beside.kube.wait("etcdbackup/nightly", "condition=Succeeded");
    await beside.api.kubectl(["delete", "etcdbackup", "nightly", "--wait=false"]);
    await beside.kube.waitReason("etcdbackup/nightly", "Stalled", "DeletionBlocked");
    const blocked = conditionOf(await beside.kube.backup("nightly"), "Stalled")?.message ?? "";
    assert.match(blocked, /only its holder deletes there/);
    await backUp(beside.kube, "sandbox", beside.etcd);
    await beside.kube.waitReason("etcdbackup/sandbox", "Succeeded", "FolderClaimed");
    const waiting = await beside.kube.backup("sandbox");
    assert.equal(conditionOf(waiting, "Succeeded")?.status, "Unknown");
    assert.equal(waiting.status.attempts, undefined);
    assert.deepEqual(await bench.objects("main"), before);
    await backUp(bench.kube, "goes-on", bench.api.etcd);
    await bench.kube.wait("etcdbackup/goes-on", "condition=Succeeded");
    assert.equal((await bench.kube.store("main")).status.writer?.copyOf, undefined);
  });

  it("goes on in its folder when it is lost and recovered, and its first backup is the latest", async () => {
    const before = await latest();
    // Without a renewal since its last backup it would not be a former self: the recovered one would go on as the same.
    const renewal = async () => (await bench.kube.store("main")).status.writer?.renewal ?? 0;
    const last = await renewal();
    await eventually("the original has renewed since its backup", async () => (await renewal()) > last + 1);
    await operator.process.kill();
    await bench.api.kill();
    await using recovered = await copy();
    await backUp(recovered.kube, "recovered", recovered.etcd);
    await recovered.kube.wait("etcdbackup/recovered", "condition=Succeeded", { seconds: 180 });
    const after = await latest();
    assert.notEqual(after.cluster.id, before.cluster.id);
    const { status } = await recovered.kube.backup("recovered");
    assert.equal(after.name, status.artifact?.name);
    const claim = await etcdBackupJson<{ lineage: { id: string; restoredFrom?: string }[] }>(
      ["claim", "show", "--store", store.url, "--cluster-name", "prod"],
      store.env,
    );
    assert.deepEqual(
      claim.lineage.map(({ id, restoredFrom }) => [id, restoredFrom]),
      [
        [before.cluster.id, undefined],
        [after.cluster.id, before.name],
      ],
    );
    // The former self may only be out of reach. A person who knows that it is gone may delete what it has stored.
    await recovered.api.kubectl(["delete", "etcdbackup", "nightly", "--wait=false"]);
    await recovered.kube.waitReason("etcdbackup/nightly", "Stalled", "DeletionBlocked");
    const blocked = conditionOf(await recovered.kube.backup("nightly"), "Stalled")?.message ?? "";
    const [, command = ""] = /etcd-backup (claim take .* --writer [0-9a-f-]+)/.exec(blocked) ?? [];
    const taken = await etcdBackup([...command.split(" "), "--store", store.url], store.env);
    assert.equal(taken.code, 0, `${blocked}\n${taken.stderr}`);
    await recovered.api.kubectl(["annotate", "etcdbackup", "nightly", "test/wake=now"]);
    await eventually(
      "the stored backup is deleted",
      async () => (await bench.manifests("main")).length === 2,
    );
  });
});
