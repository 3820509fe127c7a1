import assert from "node:assert/strict";
import { once } from "node:events";
import { rename, rm } from "node:fs/promises";
import { connect } from "node:net";
import { type TestContext, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import { binary } from "../harness/binaries.ts";
import { etcdBackup } from "../harness/etcd-backup.ts";
import { retry } from "../support/eventually.ts";
import { type Asking, asking, storeObjects } from "./asking.ts";
import { images } from "./images.ts";
import { etcdDataDir, etcdPeerUrl } from "./control-plane.ts";
import { kubernetes, manifests, nodeAddress, nodeName, pki } from "./pki.ts";
import { operatorNamespace, release, type Site } from "./site.ts";

/** The cluster's own etcd, on a node that is ours to destroy. */
export function lostControlPlane(started: () => Site): void {
  it("the control plane's own etcd comes back by the command line, and Kubernetes goes on", async (t) => {
    const site = started();
    if (!site.ownNode) {
      t.skip("the control plane of a foreign cluster is not destroyed");
      return;
    }
    const ask = asking(site, operatorNamespace);
    await site.helmUpgrade(["kubeadm.enabled=true"]);
    await ask.apply(...storeObjects(ask, site.store));
    await ask.wait("etcdbackupstore/store", "condition=Ready");
    await ask.apply(configMap, deployment);
    await ask.wait("deployment/workload", "condition=Available");
    const uid = await uidOf(site, "deployment/workload");

    await ask.apply(backupOfControlPlane(ask, "nightly"));
    await ask.wait("etcdbackup/nightly", "condition=Succeeded");
    const nightly = (await ask.get<EtcdBackup>("etcdbackup/nightly")).status;
    await ask.apply({ ...configMap, metadata: { ...configMap.metadata, name: "later" } });

    const step = stepTimer(t);
    await stopControlPlane();
    await rm(etcdDataDir, { recursive: true });
    step("stopped and lost");

    const { endpoint, bucket, accessKeyId, secretAccessKey, region } = site.store;
    const store = `s3://${bucket}?endpoint=${encodeURIComponent(endpoint)}&region=${region}&pathStyle=true`;
    const ran = await etcdBackup(
      [
        ...["restore", "latest", `--store=${store}`, "--cluster-name=control-plane"],
        ...[`--name=${nodeName}`, `--initial-cluster=${nodeName}=${etcdPeerUrl}`],
        ...[`--data-dir=${etcdDataDir}`, `--etcdutl=${await binary("etcdutl", "3.6")}`],
      ],
      { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    );
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, new RegExp(nightly.artifact?.name ?? "no backup"));
    step("restored");

    await startControlPlane();
    await retry("the API server is ready", () => site.kubectl(["get", "--raw", "/readyz"]), 120);
    step("API server ready");
    await ask.wait(`node/${nodeName}`, "condition=Ready");
    await ask.wait("deployment/workload", "condition=Available");
    await ask.wait(`deployment/${release}`, "condition=Available");
    step("node, workloads and operator available");

    assert.equal(await uidOf(site, "deployment/workload"), uid);
    assert.match(
      await site.kubectl(["get", "secret/s3", "-n", operatorNamespace, "-o", "yaml"]),
      /AWS_SECRET/,
    );
    await assert.rejects(site.kubectl(["get", "configmap/later", "-n", operatorNamespace]), /NotFound/);

    // The object is restored as it was in the snapshot: in the middle of its own run.
    await ask.wait("etcdbackup/nightly", "condition=Succeeded");
    const after = (await ask.get<EtcdBackup>("etcdbackup/nightly")).status;
    assert.deepEqual(after.artifact, nightly.artifact);
    assert.equal((await backups(site)).length, 1, "nothing ran twice");

    await ask.apply(backupOfControlPlane(ask, "next"));
    await ask.wait("etcdbackup/next", "condition=Succeeded");
    step("first backup of the restored cluster");
    const next = (await ask.get<EtcdBackup>("etcdbackup/next")).status.snapshot;
    assert.ok(
      (next?.revision ?? 0) > (nightly.snapshot?.revision ?? 0) + 1_000_000_000 - 1,
      "revisions only rise",
    );
    assert.equal((await backups(site)).length, 2);

    // Controllers work, and nobody restarts over and over.
    await site.kubectl([
      "wait",
      "pods",
      "--all",
      "-n",
      operatorNamespace,
      "--for=condition=Ready",
      "--timeout=180s",
    ]);
    await ask.apply({ ...deployment, metadata: { ...deployment.metadata, name: "new-workload" } });
    await ask.wait("deployment/new-workload", "condition=Available");
    const restarts = await restartCounts(site);
    await delay(45_000);
    assert.deepEqual(await restartCounts(site), restarts);
  });
}

const labels = { app: "workload" };
const configMap = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "earlier", namespace: operatorNamespace },
  data: { key: "value" },
};
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "workload", namespace: operatorNamespace },
  spec: {
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: { containers: [{ name: "wait", image: images.busybox, imagePullPolicy: "Never" }] },
    },
  },
};

function backupOfControlPlane({ resource }: Asking, name: string): object {
  const file = (path: string): string => `${pki}/etcd/${path}`;
  const client = { cert: file("healthcheck-client.crt"), key: file("healthcheck-client.key") };
  return resource("EtcdBackup", name, {
    clusterName: "control-plane",
    storeRef: { name: "store" },
    etcd: {
      podSelector: { namespace: "kube-system", matchLabels: { component: "etcd", tier: "control-plane" } },
      tls: { files: { ca: file("ca.crt"), ...client } },
    },
  });
}

const parts = ["kube-apiserver.yaml", "etcd.yaml"];

/** As a person would on a kubeadm node: the kubelet stops what has no manifest. */
async function stopControlPlane(): Promise<void> {
  for (const name of parts) await rename(`${manifests}/${name}`, `${kubernetes}/${name}`);
  for (const port of [6443, 2379]) await retry(`port ${port} is closed`, () => assertClosed(port), 120);
}

async function startControlPlane(): Promise<void> {
  for (const name of parts.toReversed()) await rename(`${kubernetes}/${name}`, `${manifests}/${name}`);
}

async function assertClosed(port: number): Promise<void> {
  const socket = connect(port, nodeAddress);
  const [outcome] = await Promise.race([once(socket, "connect").then(() => ["open"]), once(socket, "error")]);
  socket.destroy();
  if (outcome === "open") throw new Error(`port ${port} is still open`);
}

async function uidOf(site: Site, what: string): Promise<string> {
  return site.kubectl(["get", what, "-n", operatorNamespace, "-o", "jsonpath={.metadata.uid}"]);
}

/** Names of the backups in the store. */
async function backups(site: Site): Promise<string[]> {
  const objects = await site.store.objects("control-plane/");
  return objects.filter((key) => /^control-plane\/[^/]+\.json$/.test(key));
}

/** Of every container in the cluster. */
async function restartCounts(site: Site): Promise<Record<string, string>> {
  const counts = '{range .items[*]}{.metadata.name}={.status.containerStatuses[*].restartCount}{"\\n"}{end}';
  const lines = await site.kubectl(["get", "pods", "-A", "-o", `jsonpath=${counts}`]);
  return Object.fromEntries(
    lines
      .trim()
      .split("\n")
      .map((line) => line.split("=", 2) as [string, string]),
  );
}

/** Tells after each step how long it took. */
function stepTimer(t: TestContext): (name: string) => void {
  let last = performance.now();
  return (name) => {
    const now = performance.now();
    t.diagnostic(`${name}: ${((now - last) / 1000).toFixed(1)} s`);
    last = now;
  };
}
