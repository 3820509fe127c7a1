import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serviceIPs, podIPs } from "../addresses.ts";
import { type Api, call, existing, mergePatchAs, podKind } from "./objects.fixture.ts";
import { events, writeSeries } from "../events/writer.ts";
import type { Series } from "../events/series.ts";
import { type KubeObject, type ObjectRef, type ResourceKind, secrets } from "../objects.ts";
import { readSecret } from "../secrets.ts";
import { createOnce, findWorkload, podSummaries, type WorkloadKind, workload } from "../workloads.ts";

const labels = { app: "etcd" };
const container = { name: "etcd", image: "registry.k8s.io/etcd:3.6.5" };
const template = { metadata: { labels }, spec: { containers: [container] } };

const specs: Record<WorkloadKind, object> = {
  PersistentVolumeClaim: {
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "1Gi" } },
  },
  Service: { clusterIP: "None", selector: labels, ports: [{ name: "client", port: 2379 }] },
  Job: { template: { spec: { containers: [container], restartPolicy: "Never" } }, backoffLimit: 0 },
  StatefulSet: { serviceName: "a", replicas: 3, selector: { matchLabels: labels }, template },
  PodDisruptionBudget: { maxUnavailable: 1, selector: { matchLabels: labels } },
};

const kinds = Object.keys(specs) as WorkloadKind[];

const sliceKind: ResourceKind<KubeObject> = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  namespaced: true,
};

export function workloadRules(api: Api): void {
  const create = (kind: WorkloadKind, ref: ObjectRef, change: object = {}) =>
    createOnce(
      api.client,
      workload(kind),
      { metadata: { ...ref, labels }, spec: { ...specs[kind], ...change } },
      call,
    );

  describe("an object of a built-in kind", () => {
    for (const kind of kinds) {
      it(`is created once and found with its labels and its spec: ${kind}`, async () => {
        const ref = { namespace: await api.namespace(), name: "a" };
        assert.equal(await findWorkload(api.client, kind, ref, call), undefined);
        assert.equal(await create(kind, ref), true);
        assert.equal(await create(kind, ref, { another: "spec" }), false);
        const found = await findWorkload(api.client, kind, ref, call);
        assert.equal(found?.metadata.labels?.["app"], "etcd");
        assert.partialDeepStrictEqual(found?.spec, specs[kind]);
        const listed = await api.client.list(workload(kind), {
          namespace: ref.namespace,
          labelSelector: "app=etcd",
          ...call,
        });
        assert.deepEqual(
          listed.items.map(({ metadata }) => metadata.uid),
          [found?.metadata.uid],
        );
      });
    }

    it("gets its status from its controller", async () => {
      const namespace = await api.namespace();
      const [job, members] = [
        { namespace, name: "job" },
        { namespace, name: "members" },
      ];
      await create("Job", job);
      await create("StatefulSet", members);
      await controllerWrites(api, "Job", job, { failed: 1 });
      await controllerWrites(api, "StatefulSet", members, { replicas: 3, readyReplicas: 2 });
      assert.equal((await existing(api.client, workload("Job"), job)).status?.failed, 1);
      assert.equal((await existing(api.client, workload("StatefulSet"), members)).status?.readyReplicas, 2);
    });
  });
}

async function controllerWrites(api: Api, kind: WorkloadKind, ref: ObjectRef, status: object): Promise<void> {
  await mergePatchAs(api.client, "kube-controller-manager", {
    kind: workload(kind),
    ref,
    patch: { status },
    subresource: "status",
  });
}

export function podRules(api: Api): void {
  const pod = async (ref: ObjectRef, given: Record<string, string>, status: object) => {
    const draft = { metadata: { ...ref, labels: given }, spec: { containers: [container] } };
    await api.client.create(podKind, draft, call);
    await mergePatchAs(api.client, "kubelet", {
      kind: podKind,
      ref,
      patch: { status },
      subresource: "status",
    });
  };

  describe("Pods", () => {
    it("are found by their labels, with what the kubelet says of them", async () => {
      const namespace = await api.namespace();
      const ready = [{ type: "Ready", status: "True" }];
      const status = { phase: "Running", podIP: "10.1.0.1", podIPs: [{ ip: "10.1.0.1" }], conditions: ready };
      await pod({ namespace, name: "b" }, labels, status);
      await pod({ namespace, name: "a" }, labels, { phase: "Failed", message: "evicted" });
      await pod({ namespace, name: "c" }, { app: "other" }, status);
      assert.deepEqual(await podSummaries(api.client, { namespace, labels }, call), [
        { name: "a", ready: false, failure: { container: "", exitCode: -1, words: "evicted" } },
        { name: "b", ready: true },
      ]);
      assert.deepEqual(await podIPs(api.client, namespace, labels, call), ["10.1.0.1"]);
    });
  });
}

export function otherKindRules(api: Api): void {
  it("the ready addresses of a Service are read from its EndpointSlices", async () => {
    const namespace = await api.namespace();
    const metadata = { namespace, name: "etcd-1", labels: { "kubernetes.io/service-name": "etcd" } };
    const endpoints = [
      { addresses: ["10.1.0.2"], conditions: { ready: true } },
      { addresses: ["10.1.0.1"], conditions: { ready: false } },
    ];
    const slice = { metadata, addressType: "IPv4", endpoints, ports: [{ port: 2379 }] };
    await api.client.create(sliceKind, slice, call);
    assert.deepEqual(await serviceIPs(api.client, namespace, "etcd", call), ["10.1.0.2"]);
  });

  it("a Secret is read decoded, and a missing one is CredentialsNotFound", async () => {
    const namespace = await api.namespace();
    const data = { username: Buffer.from("root").toString("base64") };
    await api.client.create(secrets, { metadata: { namespace, name: "login" }, data }, call);
    assert.deepEqual(await readSecret(api.client, namespace, "login", call), {
      username: Buffer.from("root"),
    });
    await assert.rejects(readSecret(api.client, namespace, "other", call), { code: "CredentialsNotFound" });
  });

  it("an Event is created, counted on the one that is there, and written anew once that has gone", async () => {
    const namespace = await api.namespace();
    const series: Series = {
      key: "k",
      regarding: {
        apiVersion: "etcdbackup.dev/v1alpha1",
        kind: "EtcdBackup",
        namespace,
        name: "a",
        uid: "u",
      },
      text: { type: "Normal", reason: "SnapshotStarted", action: "Backup", note: "attempt 1" },
      first: Date.now(),
      last: Date.now(),
      count: 1,
      written: 0,
    };
    const counts = async () =>
      (await api.client.list(events, { namespace, ...call })).items.map((event) => event.series?.count);
    await writeSeries(api.client, series, "test", call);
    assert.deepEqual(await counts(), [undefined]);
    series.count = 2;
    await writeSeries(api.client, series, "test", call);
    assert.deepEqual(await counts(), [2]);
    await api.client.remove(events, { namespace, name: series.eventName ?? "" }, call);
    series.count = 3;
    await writeSeries(api.client, series, "test", call);
    assert.deepEqual(await counts(), [3]);
  });
}
