import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { finalizer } from "../../../src/core/backup/decide.ts";
import { storeFinalizer } from "../../../src/core/store/guard.ts";
import { type Bench, secretsOf, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { operatorRules } from "../../support/operator-rules.ts";

const ours = ["etcdbackupstores", "etcdbackups", "etcdrestores"];

describe("deleting a namespace with stored backups", () => {
  let bench: Bench;
  let operator: Operator;
  before(async () => {
    bench = await startBench();
    await bench.etcd.etcdctl(["put", "a", "1"]);
    operator = await startOperator(bench.api);
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  /** A namespace with a store of its name, and a stored backup of each policy in it. */
  async function inhabit(namespace: string): Promise<void> {
    await bench.api.kubectl(["create", "namespace", namespace]);
    await bench.kube.apply(...secretsOf(bench.etcd, bench.s3, undefined, namespace));
    await bench.addStore(namespace, {}, namespace);
    for (const deletionPolicy of ["Delete", "Retain"] as const)
      await bench.kube.apply(
        bench.backupObject(deletionPolicy.toLowerCase(), namespace, { deletionPolicy }, namespace),
      );
    for (const name of ["delete", "retain"])
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded", { namespace });
    assert.equal((await bench.manifests(namespace)).length, 2);
  }

  /* The tests' control plane has no namespace controller. The steps here are its steps: it deletes all objects of one
   * resource after the other, in any order, and finalizes the namespace when nothing is left. */
  const beginDeletion = (namespace: string) =>
    bench.api.kubectl(["delete", "namespace", namespace, "--wait=false"]);
  const deleteAll = (namespace: string, resource: string) =>
    bench.api.kubectl(["delete", resource, "--all", "-n", namespace, "--wait=false"]);
  const left = async (namespace: string, resources: string[]) =>
    (await bench.api.kubectl(["get", resources.join(","), "-n", namespace, "-o", "name"])).trim();
  const isEmpty = (namespace: string, resources = ours) =>
    eventually(
      `no ${resources.join(", ")} is left in ${namespace}`,
      async () => (await left(namespace, resources)) === "",
    );
  async function finalize(namespace: string): Promise<void> {
    const input = JSON.stringify({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
      spec: { finalizers: [] },
    });
    await bench.api.kubectl(["replace", "--raw", `/api/v1/namespaces/${namespace}/finalize`, "-f", "-"], {
      input,
    });
    await bench.api.kubectl(["wait", `namespace/${namespace}`, "--for=delete", "--timeout=30s"]);
  }
  const metric = async (namespace: string) =>
    new RegExp(`^etcd_backup_left_in_store_total\\{namespace="${namespace}"\\} (\\d+)$`, "m").exec(
      (await operator.get("/metrics"))?.body ?? "",
    )?.[1];
  const finalizersOf = async (namespace: string) =>
    (await bench.kube.store(namespace, namespace)).metadata.finalizers ?? [];

  for (const order of [
    ["etcdbackupstores", "etcdbackups"],
    ["etcdbackups", "etcdbackupstores"],
  ])
    it(`ends when ${order.join(" go before ")}, and the bucket keeps only the backup to retain`, async () => {
      const namespace = `${order[0]?.toLowerCase()}-first`;
      await inhabit(namespace);
      const retained = await bench.kube.backup("retain", namespace);
      assert.deepEqual(await finalizersOf(namespace), [storeFinalizer]);
      await beginDeletion(namespace);
      for (const resource of order) await deleteAll(namespace, resource);
      await isEmpty(namespace);
      await deleteAll(namespace, "secrets");
      await finalize(namespace);
      assert.deepEqual(await bench.manifests(namespace), [retained.status.artifact?.name]);
      assert.equal((await bench.objects(namespace)).length, 2, "data and manifest");
      assert.equal(await metric(namespace), undefined);
    });

  it("ends when Secrets go first, and the log and a metric say what stays in the bucket", async () => {
    const namespace = "secrets-first";
    await inhabit(namespace);
    const stored = await bench.objects(namespace);
    const { artifact } = (await bench.kube.backup("delete", namespace)).status;
    await beginDeletion(namespace);
    for (const resource of ["secrets", ...ours]) await deleteAll(namespace, resource);
    await isEmpty(namespace);
    await finalize(namespace);
    assert.deepEqual(await bench.objects(namespace), stored);
    assert.equal(await metric(namespace), "1");
    const line =
      operator.process
        .output()
        .split("\n")
        .find((text) => text.includes("it stays in the store")) ?? "";
    const { manifest, data, because } = JSON.parse(line.slice(line.indexOf("{"))) as Record<string, string>;
    assert.deepEqual([manifest, data], [artifact?.manifestURL, artifact?.url]);
    assert.equal(because, "Secret s3, which the EtcdBackupStore needs, no longer exists");
  });

  it("ends when a person removes the store's finalizer and the store goes first", async () => {
    const namespace = "store-lost";
    await inhabit(namespace);
    await beginDeletion(namespace);
    await deleteAll(namespace, "etcdbackupstores");
    const none = JSON.stringify({ metadata: { finalizers: null } });
    await bench.api.kubectl([
      "patch",
      "etcdbackupstore",
      namespace,
      "-n",
      namespace,
      "--type=merge",
      "-p",
      none,
    ]);
    await bench.kube.wait(`etcdbackupstore/${namespace}`, "delete", { namespace });
    for (const resource of ["etcdbackups", "secrets"]) await deleteAll(namespace, resource);
    await isEmpty(namespace);
    await finalize(namespace);
    assert.equal(await metric(namespace), "1");
  });

  it("outside of such a deletion a missing Secret releases nothing, and its return ends the wait", async () => {
    const namespace = "alive";
    await inhabit(namespace);
    await deleteAll(namespace, "secrets");
    await bench.api.kubectl(["delete", "etcdbackup", "delete", "-n", namespace, "--wait=false"]);
    await bench.kube.waitReason("etcdbackup/delete", "Stalled", "DeletionBlocked", { namespace });
    const blocked = await bench.kube.backup("delete", namespace);
    assert.deepEqual(blocked.metadata.finalizers, [finalizer]);
    assert.match(conditionOf(blocked, "Stalled")?.message ?? "", /Secret alive\/s3 does not exist/);
    assert.deepEqual(await finalizersOf(namespace), [storeFinalizer]);
    await bench.kube.apply(...secretsOf(bench.etcd, bench.s3, undefined, namespace));
    // Any change of the object wakes the operator before its next look.
    await bench.api.kubectl(["annotate", "etcdbackup", "delete", "-n", namespace, "look=again"]);
    await bench.kube.wait("etcdbackup/delete", "delete", { namespace });
    assert.equal((await bench.manifests(namespace)).length, 1);
    await eventually("the store is released", async () => (await finalizersOf(namespace)).length === 0);
  });

  it("a store that a person deletes waits for its EtcdBackups and says how many, and then goes", async () => {
    const namespace = "waits";
    await inhabit(namespace);
    await bench.api.kubectl(["delete", "etcdbackupstore", namespace, "-n", namespace, "--wait=false"]);
    await bench.kube.waitReason(`etcdbackupstore/${namespace}`, "Stalled", "NeededByBackups", { namespace });
    const message = conditionOf(await bench.kube.store(namespace, namespace), "Stalled")?.message;
    assert.match(message ?? "", /^1 EtcdBackup with deletionPolicy Delete needs this EtcdBackupStore/);
    await eventually("the event is written", async () =>
      (await bench.kube.events(namespace, namespace)).some(({ reason }) => reason === "NeededByBackups"),
    );
    const late = bench.backupObject("late", namespace, { deletionPolicy: "Delete" }, namespace);
    await bench.kube.apply(late);
    await bench.kube.waitReason("etcdbackup/late", "Succeeded", "StoreNotReady", { namespace });
    await bench.api.kubectl(["delete", "etcdbackup", "late", "-n", namespace, "--timeout=30s"]);
    const retain = JSON.stringify({ spec: { deletionPolicy: "Retain" } });
    await bench.api.kubectl(["patch", "etcdbackup", "delete", "-n", namespace, "--type=merge", "-p", retain]);
    await bench.kube.wait(`etcdbackupstore/${namespace}`, "delete", { namespace });
    assert.equal((await bench.manifests(namespace)).length, 2);
  });
});

describe("deleting a namespace under an operator with rights in that namespace only", () => {
  let bench: Bench;
  before(async () => {
    bench = await startBench();
    await bench.etcd.etcdctl(["put", "a", "1"]);
  });
  after(() => bench[Symbol.asyncDispose]());

  async function strand(user: string, rules: typeof operatorRules): Promise<Operator> {
    await bench.api.kubectl(["create", "namespace", user]);
    const isLease = ({ resources }: { resources: string[] }) => resources.includes("leases");
    await bench.kube.apply(
      ...role(
        user,
        user,
        rules.filter((rule) => !isLease(rule)),
      ),
      ...role(user, "default", rules.filter(isLease)),
      ...secretsOf(bench.etcd, bench.s3, undefined, user),
    );
    const operator = await startOperator(bench.api, {
      args: ["--watch-namespaces", user, "--lease-name", user],
      kubeconfig: await bench.api.userKubeconfig(user),
    });
    await bench.addStore(user, {}, user);
    await bench.kube.apply(bench.backupObject("b", user, { deletionPolicy: "Delete" }, user));
    await bench.kube.wait("etcdbackup/b", "condition=Succeeded", { namespace: user });
    await bench.api.kubectl(["delete", "namespace", user, "--wait=false"]);
    for (const resource of ["secrets", ...ours])
      await bench.api.kubectl(["delete", resource, "--all", "-n", user, "--wait=false"]);
    return operator;
  }

  it("ends without the Secret, since a Role permits to read its own namespace", async () => {
    await using operator = await strand("scoped", operatorRules);
    await bench.kube.wait("etcdbackup/b", "delete", { namespace: "scoped" });
    await bench.kube.wait("etcdbackupstore/scoped", "delete", { namespace: "scoped" });
    assert.doesNotMatch(operator.process.output(), /not allowed/);
  });

  it("waits without the right to read the namespace, and says so, until a person forces it", async () => {
    await using _ = await strand(
      "blind",
      operatorRules.filter(({ resources }) => !resources.includes("namespaces")),
    );
    await bench.kube.waitReason("etcdbackup/b", "Stalled", "DeletionBlocked", { namespace: "blind" });
    const message = conditionOf(await bench.kube.backup("b", "blind"), "Stalled")?.message ?? "";
    assert.match(
      message,
      /whether the namespace is being deleted is unknown: get namespaces.*grant the verb get/,
    );
    await bench.api.kubectl([
      "annotate",
      "etcdbackup",
      "b",
      "-n",
      "blind",
      "etcdbackup.dev/force-delete=true",
    ]);
    await bench.kube.wait("etcdbackup/b", "delete", { namespace: "blind" });
    await bench.kube.wait("etcdbackupstore/blind", "delete", { namespace: "blind" });
  });
});

function role(user: string, namespace: string, rules: object[]): object[] {
  const rbac = "rbac.authorization.k8s.io";
  return [
    { apiVersion: `${rbac}/v1`, kind: "Role", metadata: { name: user, namespace }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: "RoleBinding",
      metadata: { name: user, namespace },
      roleRef: { apiGroup: rbac, kind: "Role", name: user },
      subjects: [{ apiGroup: rbac, kind: "User", name: user }],
    },
  ];
}
