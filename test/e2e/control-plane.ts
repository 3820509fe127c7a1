import { dirname } from "node:path";
import { binary } from "../harness/binaries.ts";
import type { BinaryName } from "../harness/tool-modules.ts";
import { images } from "./images.ts";
import { kubernetes, manifests, nodeAddress, nodeName, pki, write } from "./pki.ts";

export const etcdDataDir = "/var/lib/etcd";
export const etcdPeerUrl = `https://${nodeAddress}:2380`;

/** Writes static Pods with the names, labels, flags and paths that kubeadm gives to a first control-plane node. */
export async function writeControlPlane(): Promise<void> {
  await writeEtcd();
  await writeApiServer();
  await kubernetesComponent("kube-controller-manager", {
    health: { port: 10257, path: "/healthz", scheme: "HTTPS" },
    paths: [pki, kubernetes],
    flags: [
      ...ownKubeconfig("kube-controller-manager"),
      `--root-ca-file=${pki}/ca.crt`,
      `--service-account-private-key-file=${pki}/sa.key`,
      "--use-service-account-credentials=true",
    ],
  });
  await kubernetesComponent("kube-scheduler", {
    health: { port: 10259, path: "/healthz", scheme: "HTTPS" },
    paths: [kubernetes],
    flags: ownKubeconfig("kube-scheduler"),
  });
}

async function writeEtcd(): Promise<void> {
  const client = `https://${nodeAddress}:2379`;
  await manifest("etcd", {
    image: images.etcd,
    command: [
      "etcd",
      `--name=${nodeName}`,
      `--data-dir=${etcdDataDir}`,
      `--listen-client-urls=https://127.0.0.1:2379,${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${etcdPeerUrl}`,
      `--initial-advertise-peer-urls=${etcdPeerUrl}`,
      `--initial-cluster=${nodeName}=${etcdPeerUrl}`,
      "--listen-metrics-urls=http://127.0.0.1:2381",
      "--snapshot-count=10000",
      ...tls("", "server"),
      ...tls("peer-", "peer"),
    ],
    health: { port: 2381, path: "/health", scheme: "HTTP" },
    paths: [etcdDataDir, `${pki}/etcd`],
  });
}

async function writeApiServer(): Promise<void> {
  await kubernetesComponent("kube-apiserver", {
    health: { host: nodeAddress, port: 6443, path: "/livez", scheme: "HTTPS" },
    paths: [pki],
    flags: [
      `--advertise-address=${nodeAddress}`,
      "--allow-privileged=true",
      "--authorization-mode=Node,RBAC",
      `--client-ca-file=${pki}/ca.crt`,
      "--enable-admission-plugins=NodeRestriction",
      `--etcd-cafile=${pki}/etcd/ca.crt`,
      `--etcd-certfile=${pki}/apiserver-etcd-client.crt`,
      `--etcd-keyfile=${pki}/apiserver-etcd-client.key`,
      "--etcd-servers=https://127.0.0.1:2379",
      `--kubelet-client-certificate=${pki}/apiserver-kubelet-client.crt`,
      `--kubelet-client-key=${pki}/apiserver-kubelet-client.key`,
      "--kubelet-preferred-address-types=InternalIP",
      "--secure-port=6443",
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-key-file=${pki}/sa.pub`,
      `--service-account-signing-key-file=${pki}/sa.key`,
      "--service-cluster-ip-range=10.96.0.0/16",
      `--tls-cert-file=${pki}/apiserver.crt`,
      `--tls-private-key-file=${pki}/apiserver.key`,
    ],
  });
}

function tls(prefix: string, name: string): string[] {
  return [
    `--${prefix}cert-file=${pki}/etcd/${name}.crt`,
    `--${prefix}key-file=${pki}/etcd/${name}.key`,
    `--${prefix}trusted-ca-file=${pki}/etcd/ca.crt`,
    `--${prefix}client-cert-auth=true`,
  ];
}

/** Flags of a component that authenticates with a kubeconfig of its own. */
function ownKubeconfig(name: string): string[] {
  const path = `${kubernetes}/${name}.conf`;
  return [
    "--bind-address=127.0.0.1",
    "--leader-elect=true",
    ...["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(
      (flag) => `--${flag}=${path}`,
    ),
  ];
}

interface Component {
  health: { host?: string; port: number; path: string; scheme: "HTTP" | "HTTPS" };
  /** Paths of the host that the Pod mounts at the same paths. */
  paths: string[];
}

/** A component of Kubernetes. It runs the program of the host, so that it needs no image. */
async function kubernetesComponent(
  name: BinaryName,
  { flags, paths, health }: Component & { flags: string[] },
): Promise<void> {
  const path = await binary(name);
  const command = [path, ...flags];
  await manifest(name, { image: images.busybox, command, health, paths: [...paths, dirname(path)] });
}

async function manifest(
  name: string,
  { image, command, health, paths }: Component & { image: string; command: string[] },
): Promise<void> {
  const probe = (failureThreshold: number) => ({
    httpGet: { host: "127.0.0.1", ...health },
    failureThreshold,
    periodSeconds: 10,
    timeoutSeconds: 15,
  });
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "kube-system", labels: { component: name, tier: "control-plane" } },
    spec: {
      containers: [
        {
          name,
          image,
          imagePullPolicy: "Never",
          command,
          livenessProbe: probe(8),
          startupProbe: probe(24),
          volumeMounts: paths.map((mountPath, index) => ({ name: `host-${index}`, mountPath })),
        },
      ],
      hostNetwork: true,
      priorityClassName: "system-node-critical",
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      volumes: paths.map((path, index) => ({
        name: `host-${index}`,
        hostPath: { path, type: "DirectoryOrCreate" },
      })),
    },
  };
  await write(`${manifests}/${name}.yaml`, JSON.stringify(pod));
}
