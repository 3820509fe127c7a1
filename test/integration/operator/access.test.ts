import assert from "node:assert/strict";
import { once } from "node:events";
import { type Server, connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, describe, it } from "node:test";
import { type ApiServer, startApiServer } from "../../harness/api-server.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { kubeOf } from "../../support/kube.ts";
import { startOperator } from "../../support/operator-process.ts";
import { operatorRules } from "../../support/operator-rules.ts";
import { exitOf } from "../../support/running-process.ts";

describe("an operator that is started before its custom resources are served", () => {
  let api: ApiServer;
  before(async () => {
    api = await startApiServer();
  });
  after(() => api[Symbol.asyncDispose]());

  it("stops on SIGTERM while it waits for them", async () => {
    await using operator = await startOperator(api, { ready: false });
    operator.process.signal("SIGTERM");
    await eventually("it ends", async () => !operator.process.running, 8);
    assert.deepEqual(await exitOf(operator.process), { code: 0, signal: null });
  });

  it("is alive and not ready, says what it waits for, and becomes ready with them", async () => {
    await using operator = await startOperator(api, { ready: false });
    const waiting = await operator.get("/readyz");
    assert.equal(waiting?.status, 503);
    assert.match(waiting?.body ?? "", /^waiting for custom resources/);
    assert.equal((await operator.get("/healthz"))?.status, 200);
    await eventually("the log names what is missing", async () =>
      /etcdbackupstores/.test(operator.process.output()),
    );
    await api.applyCrds();
    await eventually("it is ready", async () => (await operator.get("/readyz"))?.status === 200);
  });

  it("with --watch-namespaces leaves the objects of other namespaces alone", async () => {
    const kube = kubeOf(api.kubectl);
    await api.kubectl(["create", "namespace", "watched"]);
    const store = (namespace: string) => ({
      apiVersion: "etcdbackup.dev/v1alpha1",
      kind: "EtcdBackupStore",
      metadata: { name: "disk", namespace },
      spec: { file: { path: "/nonexistent" } },
    });
    await kube.apply(store("watched"), store("default"));
    await using operator = await startOperator(api, { args: ["--watch-namespaces", "watched"] });
    await kube.waitReason("etcdbackupstore/disk", "Ready", "InvalidConfiguration", { namespace: "watched" });
    assert.equal((await kube.store("disk")).status.observedGeneration, -1);
    assert.match((await operator.get("/metrics"))?.body ?? "", /namespace="watched"/);
  });
});

describe("the operator as a user with its own rights and no others", () => {
  let bench: Bench;
  const outside = address();

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

  it("without the right to read Secrets it says which right is missing, and goes on when it is given", async () => {
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

  it("without the right to the Lease it is not ready and says which right is missing, and works when it is given", async () => {
    await using operator = await startOperator(bench.api, {
      kubeconfig: await bench.api.userKubeconfig("without-lease"),
      ready: false,
    });
    await eventually("it says why", async () =>
      /grant the verb get on leases.coordination.k8s.io/.test(operator.process.output()),
    );
    const ready = await operator.get("/readyz");
    assert.deepEqual([ready?.status, ready?.body], [503, "waiting for the lease\n"]);
    await bench.kube.apply(...grant("without-lease", operatorRules));
    await eventually("ready", async () => (await operator.get("/readyz"))?.status === 200);
  });

  it("makes a backup, writes events, holds and removes by finalizer", async () => {
    await using operator = await startOperator(bench.api, {
      kubeconfig: await bench.api.userKubeconfig("operator"),
    });
    await bench.kube.apply(bench.backupObject("mine", "store", { deletionPolicy: "Delete" }));
    await bench.kube.wait("etcdbackup/mine", "condition=Succeeded");
    await eventually("its events", async () =>
      (await bench.kube.events("mine")).some(({ reason }) => reason === "SnapshotSucceeded"),
    );
    await bench.kube.wait("etcdbackupstore/store", "condition=Ready");
    await bench.api.kubectl(["delete", "etcdbackup", "mine"]);
    assert.doesNotMatch(operator.process.output(), /forbidden/i);
  });

  it(
    "finds the members by pods and by a Service, with the rights it has",
    outside === undefined ? { skip: "the API server takes no loopback address, and there is no other" } : {},
    async () => {
      await using forwarder = await forward(outside ?? "", bench.etcd.endpoints[0] ?? "");
      await bench.kube.apply(pod("etcd-0"), slice(outside ?? ""));
      await bench.api.kubectl([
        "patch",
        "pod",
        "etcd-0",
        "--subresource=status",
        "--type=merge",
        "-p",
        JSON.stringify({
          status: { phase: "Running", podIP: outside, podIPs: [{ ip: outside }] },
        }),
      ]);
      await using operator = await startOperator(bench.api, {
        kubeconfig: await bench.api.userKubeconfig("operator"),
      });
      const tls = { secretRef: { name: "etcd-client" }, serverName: "localhost" };
      const { port } = forwarder;
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
        assert.equal(status.member?.endpoint, `https://${outside}:${port}`);
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

function slice(ip: string): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "etcd-1", namespace: "default", labels: { "kubernetes.io/service-name": "etcd" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
  };
}

/** An IPv4 address of this machine that is not loopback. */
function address(): string | undefined {
  return Object.values(networkInterfaces())
    .flat()
    .find((found) => found?.family === "IPv4" && !found.internal && !found.address.startsWith("169.254."))
    ?.address;
}

/** Listens on `host` and passes connections on to the port of `endpoint` on loopback. */
async function forward(host: string, endpoint: string): Promise<{ port: number } & AsyncDisposable> {
  const { port } = new URL(endpoint);
  const server: Server = createServer((from) => {
    const to = connect(Number(port), "127.0.0.1");
    from.on("error", () => to.destroy()).pipe(to);
    to.on("error", () => from.destroy()).pipe(from);
  });
  server.listen(0, host);
  await once(server, "listening");
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}
