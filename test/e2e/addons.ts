import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { binary } from "../harness/binaries.ts";
import { images } from "./images.ts";
import { nodeName } from "./pki.ts";

const volumes = "/var/lib/volumes";
const volumeCount = 30;

/** What a cluster has besides its control plane: names for Services, and volumes. */
export async function addons(): Promise<object> {
  return { apiVersion: "v1", kind: "List", items: [...(await coreDns()), ...(await localVolumes())] };
}

async function coreDns(): Promise<object[]> {
  const namespace = "kube-system";
  const labels = { "k8s-app": "kube-dns" };
  const path = await binary("coredns");
  const corefile =
    ".:53 {\n errors\n health\n ready\n kubernetes cluster.local in-addr.arpa ip6.arpa {\n  ttl 1\n }\n}\n";
  const pod = {
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
  const rules = [
    { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: ["list", "watch"] },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  ];
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:coredns" };
  const subjects = [{ kind: "ServiceAccount", name: "coredns", namespace }];
  const rbac = "rbac.authorization.k8s.io/v1";
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "coredns", namespace } },
    { apiVersion: rbac, kind: "ClusterRole", metadata: { name: "system:coredns" }, rules },
    { apiVersion: rbac, kind: "ClusterRoleBinding", metadata: { name: "system:coredns" }, roleRef, subjects },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "coredns", namespace },
      data: { Corefile: corefile },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "coredns", namespace, labels },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "kube-dns", namespace, labels },
      spec: {
        clusterIP: "10.96.0.10",
        selector: labels,
        ports: [
          { name: "dns", port: 53, protocol: "UDP" },
          { name: "dns-tcp", port: 53, protocol: "TCP" },
        ],
      },
    },
  ];
}

/** Directories of the node, each of which one claim may take. */
async function localVolumes(): Promise<object[]> {
  const storageClass = {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "local", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "WaitForFirstConsumer",
  };
  const onNode = { key: "kubernetes.io/hostname", operator: "In", values: [nodeName] };
  const made: object[] = [storageClass];
  for (let index = 0; index < volumeCount; index += 1) {
    const path = `${volumes}/${index}`;
    await mkdir(path, { recursive: true });
    made.push({
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
  return made;
}
