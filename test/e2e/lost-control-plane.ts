import assert from "node:assert/strict";
import { once } from "node:events";
import { rename, rm } from "node:fs/promises";
import { connect } from "node:net";
import { type TestContext, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { binary } from "../harness/binaries.ts";
import { etcdBackup } from "../harness/etcd-backup.ts";
import { retry } from "../support/eventually.ts";
import { resourceObject } from "../support/custom-resources.ts";
import type { Kube } from "../support/kube.ts";
import { images } from "./images.ts";
import { etcdDataDir, etcdPeerUrl } from "./control-plane.ts";
import { kubernetes, manifests, nodeAddress, nodeName, pki } from "./pki.ts";
import { operatorNamespace, release, type Site, type SiteStore } from "./site.ts";
import { kubeIn, storeObjects } from "./store-objects.ts";

/** Tests with the etcd of the Kubernetes control plane. */
export function lostControlPlane(started: () => Site): void {
  it("the lost etcd of a control plane is restored by the command line, and Kubernetes goes on", async (t) => {
    const site = started();
    if (!site.ownNode) {
      t.skip("E2E_KUBECONFIG names the cluster, and this test destroys the control plane of its node");
      return;
    }
    const kube = kubeIn(site, operatorNamespace);
    // The operator's Pod may be made anew meanwhile: then it waits for the silence of its former self.
    await site.helmUpgrade(["kubeadm.enabled=true", "extraArgs={--hold-duration=15}"]);
    await kube.apply(...storeObjects(operatorNamespace, site.store));
    await kube.wait("etcdbackupstore/store", "condition=Ready");
    await kube.apply(configMap, deployment);
    await kube.wait("deployment/workload", "condition=Available");
    const uid = await uidOf(site, "deployment/workload");

    await kube.apply(backupOfControlPlane("nightly"));
    await kube.wait("etcdbackup/nightly", "condition=Succeeded");
    const nightly = (await kube.backup("nightly")).status;
    await kube.apply({ ...configMap, metadata: { ...configMap.metadata, name: "later" } });

    const step = stepTimer(t);
    await stopControlPlane();
    await rm(etcdDataDir, { recursive: true });
    step("control plane stopped and data removed");

    await restoreByCommand(site.store, nightly.artifact?.name ?? "no backup");
    step("restored");

    await startControlPlane();
    await retry("the API server is ready", () => site.kubectl(["get", "--raw", "/readyz"]), 120);
    step("API server ready");
    await kube.wait(`node/${nodeName}`, "condition=Ready");
    await kube.wait("deployment/workload", "condition=Available");
    await kube.wait(`deployment/${release}`, "condition=Available");
    step("node, workloads and operator available");

    assert.equal(await uidOf(site, "deployment/workload"), uid);
    assert.match(
      await site.kubectl(["get", "secret/s3", "-n", operatorNamespace, "-o", "yaml"]),
      /AWS_SECRET/,
    );
    await assert.rejects(site.kubectl(["get", "configmap/later", "-n", operatorNamespace]), /NotFound/);

    // The restored EtcdBackup has the state of the snapshot: its own backup is running.
    await kube.wait("etcdbackup/nightly", "condition=Succeeded");
    const after = (await kube.backup("nightly")).status;
    assert.deepEqual(after.artifact, nightly.artifact);
    assert.equal((await backups(site)).length, 1, "the backup was not made twice");

    await kube.apply(backupOfControlPlane("next"));
    await kube.wait("etcdbackup/next", "condition=Succeeded");
    step("first backup of the restored cluster");
    const next = (await kube.backup("next")).status.snapshot;
    assert.ok(
      (next?.revision ?? 0) > (nightly.snapshot?.revision ?? 0) + 1_000_000_000 - 1,
      "revisions never decrease",
    );
    assert.equal((await backups(site)).length, 2);

    await assertControllersWork(site, kube);
  });
}

/** Restores the data directory of etcd with the command line and checks that it used this backup. */
async function restoreByCommand(siteStore: SiteStore, backup: string): Promise<void> {
  const { endpoint, bucket, accessKeyId, secretAccessKey, region } = siteStore;
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
  assert.match(ran.stdout, new RegExp(backup));
}

/** All Pods get ready, a new Deployment gets available, and no container restarts for 45 s. */
async function assertControllersWork(site: Site, kube: Kube): Promise<void> {
  const all = ["pods", "--all", "-n", operatorNamespace];
  await site.kubectl(["wait", ...all, "--for=condition=Ready", "--timeout=180s"]);
  await kube.apply({ ...deployment, metadata: { ...deployment.metadata, name: "new-workload" } });
  await kube.wait("deployment/new-workload", "condition=Available");
  const restarts = await restartCounts(site);
  await delay(45_000);
  assert.deepEqual(await restartCounts(site), restarts);
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

/** The spec.etcd of the node's own etcd. */
export function connectionToControlPlane(): object {
  const file = (path: string): string => `${pki}/etcd/${path}`;
  const client = { cert: file("healthcheck-client.crt"), key: file("healthcheck-client.key") };
  const matchLabels = { component: "etcd", tier: "control-plane" };
  return {
    podSelector: { namespace: "kube-system", matchLabels },
    tls: { files: { ca: file("ca.crt"), ...client } },
  };
}

function backupOfControlPlane(name: string): object {
  const etcd = connectionToControlPlane();
  const spec = { clusterName: "control-plane", storeRef: { name: "store" }, etcd };
  return resourceObject("EtcdBackup", name, spec, operatorNamespace);
}

const parts = ["kube-apiserver.yaml", "etcd.yaml"];

/** Moves the manifests away, so that the kubelet stops etcd and the API server. */
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

/** Restart counts of the containers of each Pod in the cluster. */
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

/** Prints the duration of each step. */
function stepTimer(t: TestContext): (name: string) => void {
  let last = performance.now();
  return (name) => {
    const now = performance.now();
    t.diagnostic(`${name}: ${((now - last) / 1000).toFixed(1)} s`);
    last = now;
  };
}
