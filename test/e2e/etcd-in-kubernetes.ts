import { createAuthority } from "../harness/certificates.ts";
import { secret } from "../support/custom-resources.ts";
import type { Kubectl } from "../support/kube.ts";

/** An etcd cluster of three members with TLS in Kubernetes. */
export interface LabCluster {
  readonly name: string;
  readonly namespace: string;
  /** Standard output of etcdctl, which runs in the first member's Pod and connects to the client Service. */
  etcdctl(args: string[]): Promise<string>;
  put(key: string, value: string): Promise<void>;
}

/** The Secrets `<name>-client-tls` and `<name>-peer-tls`, for the members and the Services of the cluster. */
export async function tlsSecrets(name: string, namespace: string): Promise<object[]> {
  const authority = await createAuthority(`${name} CA`);
  const services = [`${name}-client`, `${name}-peers`];
  const hosts = ["localhost", "127.0.0.1"].concat(
    services.flatMap((service) => [`${service}.${namespace}.svc`, `*.${service}.${namespace}.svc`]),
  );
  const make = async (kind: string) => {
    const { certPem, keyPem } = await authority.issue({ commonName: `${name} ${kind}`, hosts });
    const data = { "ca.crt": authority.caPem, "tls.crt": certPem, "tls.key": keyPem };
    return secret(`${name}-${kind}-tls`, data, namespace);
  };
  return [await make("client"), await make("peer")];
}

/** The manifests of a new cluster. Its Pods have the label app=<name>. */
export function newCluster(name: string, namespace: string, image: string): object[] {
  const ports = [
    { name: "client", port: 2379 },
    { name: "peer", port: 2380 },
  ];
  const service = (kind: string, more: object) => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `${name}-${kind}`, namespace },
    spec: { selector: { app: name }, ports, ...more },
  });
  return [
    service("peers", { clusterIP: "None", publishNotReadyAddresses: true }),
    service("client", {}),
    statefulSet(name, namespace, image),
  ];
}

function statefulSet(name: string, namespace: string, image: string): object {
  const labels = { app: name };
  const volumes = ["client", "peer"].map((kind) => ({
    name: kind,
    secret: { secretName: `${name}-${kind}-tls` },
  }));
  const containers = [etcdContainer(name, `${name}-peers.${namespace}.svc`, image)];
  const claim = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name, namespace },
    spec: {
      serviceName: `${name}-peers`,
      replicas: 3,
      podManagementPolicy: "Parallel",
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 5, containers, volumes },
      },
      volumeClaimTemplates: [{ metadata: { name: "data" }, spec: claim }],
    },
  };
}

/** `domain` is that of the Service of the peers. */
function etcdContainer(name: string, domain: string, image: string): object {
  const members = [0, 1, 2].map((i) => `${name}-${i}`);
  const certificates = (kind: "client" | "peer", prefix: string) => [
    `--${prefix}cert-file=/tls/${kind}/tls.crt`,
    `--${prefix}key-file=/tls/${kind}/tls.key`,
    `--${prefix}trusted-ca-file=/tls/${kind}/ca.crt`,
    `--${prefix}client-cert-auth`,
  ];
  return {
    name: "etcd",
    image,
    imagePullPolicy: "Never",
    command: [
      "etcd",
      "--name=$(POD_NAME)",
      "--data-dir=/var/lib/etcd/data",
      "--listen-client-urls=https://0.0.0.0:2379",
      `--advertise-client-urls=https://$(POD_NAME).${domain}:2379`,
      "--listen-peer-urls=https://0.0.0.0:2380",
      `--initial-advertise-peer-urls=https://$(POD_NAME).${domain}:2380`,
      `--initial-cluster=${members.map((member) => `${member}=https://${member}.${domain}:2380`).join(",")}`,
      `--initial-cluster-token=${name}`,
      ...certificates("client", ""),
      ...certificates("peer", "peer-"),
    ],
    env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
    readinessProbe: { tcpSocket: { port: 2379 }, periodSeconds: 2 },
    volumeMounts: [
      { name: "data", mountPath: "/var/lib/etcd" },
      { name: "client", mountPath: "/tls/client" },
      { name: "peer", mountPath: "/tls/peer" },
    ],
  };
}

/** Access by the etcdctl of the container, through the DNS name of the client Service, as applications connect. */
export function labCluster(kubectl: Kubectl, name: string, namespace: string, tlsPath: string): LabCluster {
  const etcdctl = (args: string[]) =>
    kubectl([
      "exec",
      "-n",
      namespace,
      `${name}-0`,
      "-c",
      "etcd",
      "--",
      "etcdctl",
      `--endpoints=https://${name}-client.${namespace}.svc:2379`,
      `--cacert=${tlsPath}/ca.crt`,
      `--cert=${tlsPath}/tls.crt`,
      `--key=${tlsPath}/tls.key`,
      ...args,
    ]);
  return {
    name,
    namespace,
    etcdctl,
    put: async (key, value) => void (await etcdctl(["put", key, value])),
  };
}
