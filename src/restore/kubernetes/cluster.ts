import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { type RestoreBlueprint, type RestoreObject, metadataOf } from "./blueprint.ts";
import {
  clientPort,
  clientServiceName,
  clusterLabels,
  memberLabels,
  membershipOf,
  namespaceOf,
  peerPort,
  peerServiceName,
  volumeName,
} from "../../core/restore/names.ts";
import { containerDefaults, dataDir, mountPath, podDefaults, podMetadata } from "./pod.ts";

const metricsPort = 2381;
const clientTlsPath = "/etc/etcd/tls/client";
const peerTlsPath = "/etc/etcd/tls/peer";

/** Without an owner: whatever becomes of the EtcdRestore, the volume stays. */
export function volumeClaim({ restore }: RestoreBlueprint, index: number): RestoreObject {
  return {
    metadata: metadataOf(restore, volumeName(restore, index)),
    spec: claimSpec(restore),
  };
}

function claimSpec({ spec }: EtcdRestore): Record<string, unknown> {
  const { size, storageClassName } = spec.target.cluster.storage;
  return {
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: size } },
    ...(storageClassName === undefined ? {} : { storageClassName }),
  };
}

/** For the members alone; they have to find each other before they are ready. */
export function peerService({ restore }: RestoreBlueprint): RestoreObject {
  return {
    metadata: metadataOf(restore, peerServiceName(restore)),
    spec: {
      clusterIP: "None",
      publishNotReadyAddresses: true,
      selector: memberLabels(restore),
      ports: [
        { name: "peer", port: peerPort },
        { name: "client", port: clientPort },
      ],
    },
  };
}

export function clientService({ restore }: RestoreBlueprint): RestoreObject {
  return {
    metadata: metadataOf(restore, clientServiceName(restore)),
    spec: { selector: memberLabels(restore), ports: [{ name: "client", port: clientPort }] },
  };
}

/** As many may be drained as the quorum can spare; of a single member, none. */
export function disruptionBudget({ restore }: RestoreBlueprint): RestoreObject {
  const { name, replicas } = restore.spec.target.cluster;
  return {
    metadata: metadataOf(restore, name),
    spec: {
      minAvailable: Math.floor(replicas / 2) + 1,
      unhealthyPodEvictionPolicy: "AlwaysAllow",
      selector: { matchLabels: memberLabels(restore) },
    },
  };
}

export function statefulSet(blueprint: RestoreBlueprint): RestoreObject {
  const { restore } = blueprint;
  const { name, replicas } = restore.spec.target.cluster;
  const { tls } = restore.spec.target.cluster;
  const claim = {
    metadata: { name: "data", labels: clusterLabels(name) },
    spec: claimSpec(restore),
  };
  const secretVolume = (volume: string, secretName: string | undefined) =>
    secretName === undefined ? [] : [{ name: volume, secret: { secretName } }];
  return {
    metadata: metadataOf(restore, name),
    spec: {
      serviceName: peerServiceName(restore),
      replicas,
      // All at once: a quorum has to run before any of them is ready.
      podManagementPolicy: "Parallel",
      persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
      selector: { matchLabels: memberLabels(restore) },
      template: {
        metadata: podMetadata(restore, "member"),
        spec: {
          ...podDefaults(restore),
          terminationGracePeriodSeconds: 30,
          containers: [etcdContainer(blueprint)],
          volumes: [
            ...secretVolume("client-tls", tls?.client?.name),
            ...secretVolume("peer-tls", tls?.peer?.name),
          ],
        },
      },
      volumeClaimTemplates: [claim],
    },
  };
}

function etcdContainer({ restore, token }: RestoreBlueprint): object {
  const { cluster } = restore.spec.target;
  const { tls } = cluster;
  const clients = tls?.client === undefined ? "http" : "https";
  const peers = tls?.peer === undefined ? "http" : "https";
  const self = `$(POD_NAME).${peerServiceName(restore)}.${namespaceOf(restore)}.svc`;
  const probe = (query: string, more: object) => ({
    httpGet: { path: `/health?${query}`, port: "metrics" },
    timeoutSeconds: 5,
    ...more,
  });
  const mount = (name: string, path: string, there: boolean) =>
    there ? [{ name, mountPath: path, readOnly: true }] : [];
  return {
    name: "etcd",
    image: cluster.image,
    imagePullPolicy: cluster.imagePullPolicy,
    command: [
      "etcd",
      "--name=$(POD_NAME)",
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${clients}://0.0.0.0:${clientPort}`,
      `--advertise-client-urls=${clients}://${self}:${clientPort}`,
      `--listen-peer-urls=${peers}://0.0.0.0:${peerPort}`,
      `--initial-advertise-peer-urls=${peers}://${self}:${peerPort}`,
      `--initial-cluster=${membershipOf(restore).initialCluster}`,
      `--initial-cluster-token=${token}`,
      // The volumes hold a cluster already. A member whose volume was lost must not begin another one.
      "--initial-cluster-state=existing",
      `--listen-metrics-urls=http://0.0.0.0:${metricsPort}`,
      ...(tls?.client === undefined ? [] : tlsFlags("", clientTlsPath)),
      ...(tls?.peer === undefined ? [] : tlsFlags("peer-", peerTlsPath)),
      ...(cluster.extraArgs ?? []),
    ],
    env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
    ports: [
      { name: "client", containerPort: clientPort },
      { name: "peer", containerPort: peerPort },
      { name: "metrics", containerPort: metricsPort },
    ],
    // An alarm has to be dealt with through the Service, so it takes nobody out of it.
    startupProbe: probe("exclude=NOSPACE&serializable=true", { periodSeconds: 2, failureThreshold: 900 }),
    livenessProbe: probe("exclude=NOSPACE&serializable=true", { periodSeconds: 10, failureThreshold: 8 }),
    readinessProbe: probe("exclude=NOSPACE", { periodSeconds: 2, failureThreshold: 3 }),
    ...containerDefaults(restore),
    volumeMounts: [
      { name: "data", mountPath },
      ...mount("client-tls", clientTlsPath, tls?.client !== undefined),
      ...mount("peer-tls", peerTlsPath, tls?.peer !== undefined),
    ],
  };
}

function tlsFlags(kind: "" | "peer-", path: string): string[] {
  return [
    `--${kind}cert-file=${path}/tls.crt`,
    `--${kind}key-file=${path}/tls.key`,
    `--${kind}trusted-ca-file=${path}/ca.crt`,
    `--${kind}client-cert-auth`,
  ];
}
