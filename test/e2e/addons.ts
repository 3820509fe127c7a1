import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { binary } from "../harness/binaries.ts";
import { images } from "./images.ts";
import { nodeName } from "./pki.ts";

const volumes = "/var/lib/volumes";
const volumeCount = 30;

/** The objects that a cluster needs besides its control plane: CoreDNS and volumes. */
export async function addons(): Promise<object> {
  return { apiVersion: "v1", kind: "List", items: [...(await coreDns()), ...(await localVolumes())] };
}

const dnsNamespace = "kube-system";
const dnsLabels = { "k8s-app": "kube-dns" };
const corefile =
  ".:53 {\n errors\n health\n ready\n kubernetes cluster.local in-addr.arpa ip6.arpa {\n  ttl 1\n }\n}\n";

async function coreDns(): Promise<object[]> {
  const metadata = { name: "coredns", namespace: dnsNamespace };
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 53, protocol: "TCP" },
  ];
  const template = { metadata: { labels: dnsLabels }, spec: coreDnsPod(await binary("coredns")) };
  return [
    ...coreDnsRole(),
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { Corefile: corefile } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { ...metadata, labels: dnsLabels },
      spec: { selector: { matchLabels: dnsLabels }, template },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "kube-dns", namespace: dnsNamespace, labels: dnsLabels },
      spec: { clusterIP: "10.96.0.10", selector: dnsLabels, ports },
    },
  ];
}

/** The spec of a Pod that runs the host's program, at the same path. */
function coreDnsPod(path: string): object {
  return {
    serviceAccountName: "coredns",
    dnsPolicy: "Default",
    tolerations: [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }],
    containers: [
      {
        name: "coredns",
        image: images.busybox,
        imagePullPolicy: "Never",
        command: [path, "-conf=/etc/coredns/Corefile"],
        readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 2 },
        volumeMounts: [
          { name: "program", mountPath: dirname(path) },
          { name: "config", mountPath: "/etc/coredns" },
        ],
      },
    ],
    volumes: [
      { name: "program", hostPath: { path: dirname(path) } },
      { name: "config", configMap: { name: "coredns" } },
    ],
  };
}

function coreDnsRole(): object[] {
  const rbac = "rbac.authorization.k8s.io";
  const metadata = { name: "system:coredns" };
  const rules = [
    { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: ["list", "watch"] },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  ];
  const roleRef = { apiGroup: rbac, kind: "ClusterRole", ...metadata };
  const account = { name: "coredns", namespace: dnsNamespace };
  const subjects = [{ kind: "ServiceAccount", ...account }];
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: account },
    { apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata, rules },
    { apiVersion: `${rbac}/v1`, kind: "ClusterRoleBinding", metadata, roleRef, subjects },
  ];
}

/** A default StorageClass and PersistentVolumes in directories of the node. */
async function localVolumes(): Promise<object[]> {
  const storageClass = {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "local", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "WaitForFirstConsumer",
  };
  const onNode = { key: "kubernetes.io/hostname", operator: "In", values: [nodeName] };
  const objects: object[] = [storageClass];
  for (let index = 0; index < volumeCount; index += 1) {
    const path = `${volumes}/${index}`;
    await mkdir(path, { recursive: true });
    objects.push({
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: `local-${index}` },
      spec: {
        capacity: { storage: "2Gi" },
        accessModes: ["ReadWriteOnce"],
        persistentVolumeReclaimPolicy: "Retain",
        storageClassName: "local",
        local: { path },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [onNode] }] } },
      },
    });
  }
  return objects;
}
