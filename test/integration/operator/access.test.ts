import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { after, before, describe, it } from "node:test";
import { type ApiServer, startApiServer } from "../../harness/api-server.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf, resourceObject } from "../../support/custom-resources.ts";
import { kubeOf, patchStatus } from "../../support/kube.ts";
import { startOperator } from "../../support/operator-process.ts";
import { operatorRules } from "../../support/operator-rules.ts";
import { exitOf } from "../../support/running-process.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

describe("an operator that starts before its CRDs are installed", () => {
  let api: ApiServer;
  before(async () => {
    api = await startApiServer();
  });
  after(() => api[Symbol.asyncDispose]());

  it("stops on SIGTERM while it waits for the CRDs", async () => {
    await using operator = await startOperator(api, { ready: false });
    operator.process.signal("SIGTERM");
    await eventually("the operator exits", async () => !operator.process.running, 8);
    assert.deepEqual(await exitOf(operator.process), { code: 0, signal: null });
  });

  it("is live and not ready, names what it waits for, and becomes ready with the CRDs", async () => {
    await using operator = await startOperator(api, { ready: false });
    const waiting = await operator.get("/readyz");
    assert.equal(waiting?.status, 503);
    assert.match(waiting?.body ?? "", /^waiting for custom resources/);
    assert.equal((await operator.get("/healthz"))?.status, 200);
    await eventually("the log names the missing CRDs", async () =>
      /etcdbackupstores/.test(operator.process.output()),
    );
    await api.applyCrds();
    await eventually("the operator is ready", async () => (await operator.get("/readyz"))?.status === 200);
  });

  it("with --watch-namespaces does not touch objects of other namespaces", async () => {
    const kube = kubeOf(api.kubectl);
    await api.kubectl(["create", "namespace", "watched"]);
    const store = (namespace: string) =>
      resourceObject("EtcdBackupStore", "disk", { file: { path: "/nonexistent" } }, namespace);
    await kube.apply(store("watched"), store("default"));
    await using operator = await startOperator(api, { args: ["--watch-namespaces", "watched"] });
    await kube.waitReason("etcdbackupstore/disk", "Ready", "InvalidConfiguration", { namespace: "watched" });
    assert.equal((await kube.store("disk")).status.observedGeneration, -1);
    assert.match((await operator.get("/metrics"))?.body ?? "", /namespace="watched"/);
  });
});

describe("the operator as a user with exactly the rights of operatorRules", () => {
  let bench: Bench;
  const address = ownAddress();

  before(async () => {
    bench = await startBench({ etcd: { tls: true } });
    await bench.etcd.etcdctl(["put", "a", "1"]);
    await bench.kube.apply(...grant("operator", operatorRules));
    await bench.kube.apply(
      ...grant(
        "without-secrets",
        operatorRules.filter(({ resources }) => !resources.includes("secrets")),
      ),
    );
    await bench.kube.apply(
      ...grant(
        "without-lease",
        operatorRules.filter(({ resources }) => !resources.includes("leases")),
      ),
    );
    await bench.addStore("store");
  });
  after(() => bench[Symbol.asyncDispose]());

  it("names the missing right to read Secrets and goes on when it is granted", async () => {
    await using operator = await startOperator(bench.api, {
      kubeconfig: await bench.api.userKubeconfig("without-secrets"),
    });
    await bench.kube.apply(bench.backupObject("blind", "store"));
    await bench.kube.waitReason("etcdbackup/blind", "Succeeded", "Retrying");
    const message = conditionOf(await bench.kube.backup("blind"), "Succeeded")?.message ?? "";
    assert.match(message, /get.*secrets/i);
    assert.match(message, /default/);
    await bench.kube.waitReason("etcdbackupstore/store", "Ready", "Unauthorized");
    assert.equal((await operator.get("/readyz"))?.status, 200);
    await bench.kube.apply(...grant("without-secrets", operatorRules));
    await bench.kube.wait("etcdbackup/blind", "condition=Succeeded");
  });

  it("is not ready without the right to the Lease, names it, and works when it is granted", async () => {
    await using operator = await startOperator(bench.api, {
      kubeconfig: await bench.api.userKubeconfig("without-lease"),
      ready: false,
    });
    await eventually("the log names the missing right", async () =>
      /grant the verb get on leases.coordination.k8s.io/.test(operator.process.output()),
    );
    const ready = await operator.get("/readyz");
    assert.deepEqual([ready?.status, ready?.body], [503, "waiting for the Lease\n"]);
    await bench.kube.apply(...grant("without-lease", operatorRules));
    await eventually("the operator is ready", async () => (await operator.get("/readyz"))?.status === 200);
  });

  it("makes a backup, writes events, and sets and removes the finalizer", async () => {
    await using operator = await startOperator(bench.api, {
      kubeconfig: await bench.api.userKubeconfig("operator"),
    });
    await bench.kube.apply(bench.backupObject("mine", "store", { deletionPolicy: "Delete" }));
    await bench.kube.wait("etcdbackup/mine", "condition=Succeeded");
    await eventually("the event SnapshotSucceeded is written", async () =>
      (await bench.kube.events("mine")).some(({ reason }) => reason === "SnapshotSucceeded"),
    );
    await bench.kube.wait("etcdbackupstore/store", "condition=Ready");
    await bench.api.kubectl(["delete", "etcdbackup", "mine"]);
    assert.doesNotMatch(operator.process.output(), /forbidden/i);
  });

  it(
    "finds the members by pods and by a Service",
    address === undefined
      ? { skip: "the API server refuses loopback addresses, and this machine has no other" }
      : {},
    async () => {
      assert.ok(address !== undefined);
      await using proxy = await startTcpFaultProxy(bench.etcd.endpoints[0] ?? "", address);
      await bench.kube.apply(pod("etcd-0"), endpointSlice(address));
      const status = { phase: "Running", podIP: address, podIPs: [{ ip: address }] };
      await patchStatus(bench.api.kubectl, "pod/etcd-0", status);
      await using operator = await startOperator(bench.api, {
        kubeconfig: await bench.api.userKubeconfig("operator"),
      });
      const tls = { secretRef: { name: "etcd-client" }, serverName: "localhost" };
      const port = Number(new URL(proxy.endpoint).port);
      await bench.kube.apply(
        bench.backupObject("by-pods", "store", {
          etcd: { endpoints: undefined, podSelector: { matchLabels: { component: "etcd" }, port }, tls },
        }),
        bench.backupObject("by-service", "store", {
          etcd: { endpoints: undefined, service: { name: "etcd", port }, tls },
        }),
        bench.backupObject("by-no-pods", "store", {
          etcd: { endpoints: undefined, podSelector: { matchLabels: { component: "none" }, port }, tls },
          backoffLimit: 0,
        }),
      );
      for (const name of ["by-pods", "by-service"]) {
        await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
        const { status } = await bench.kube.backup(name);
        assert.equal(status.member?.endpoint, `https://${address}:${port}`);
      }
      await bench.kube.wait("etcdbackup/by-no-pods", "condition=Finished");
      assert.match(
        conditionOf(await bench.kube.backup("by-no-pods"), "Succeeded")?.message ?? "",
        /no running pod in namespace default has the labels component=none/,
      );
      assert.doesNotMatch(operator.process.output(), /forbidden/i);
    },
  );
});

function grant(user: string, rules: object[]): object[] {
  const rbac = "rbac.authorization.k8s.io";
  return [
    { apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata: { name: user }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: user },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: user },
      subjects: [{ apiGroup: rbac, kind: "User", name: user }],
    },
  ];
}

function pod(name: string): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", labels: { component: "etcd" } },
    spec: { nodeName: "node", containers: [{ name: "etcd", image: "etcd" }] },
  };
}

function endpointSlice(ip: string): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "etcd-1", namespace: "default", labels: { "kubernetes.io/service-name": "etcd" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
  };
}

/** An IPv4 address of this machine that is not loopback. */
function ownAddress(): string | undefined {
  return Object.values(networkInterfaces())
    .flat()
    .find((found) => found?.family === "IPv4" && !found.internal && !found.address.startsWith("169.254."))
    ?.address;
}
