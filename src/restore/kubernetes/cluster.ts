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

/** The claim of one member. It has no owner reference, so deleting the EtcdRestore does not delete the volume. */
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

/** The headless Service of the peers. It publishes members before they are ready: they need each other for that. */
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

/** Lets a drain evict as many members as the quorum can lose; of a single member, none. */
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
      // All members start at once: none becomes ready before a quorum runs.
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
  const clientScheme = tls?.client === undefined ? "http" : "https";
  const peerScheme = tls?.peer === undefined ? "http" : "https";
  const host = `$(POD_NAME).${peerServiceName(restore)}.${namespaceOf(restore)}.svc`;
  const probe = (query: string, thresholds: object) => ({
    httpGet: { path: `/health?${query}`, port: "metrics" },
    timeoutSeconds: 5,
    ...thresholds,
  });
  const secretMount = (name: string, path: string, secret: object | undefined) =>
    secret === undefined ? [] : [{ name, mountPath: path, readOnly: true }];
  return {
    name: "etcd",
    image: cluster.image,
    imagePullPolicy: cluster.imagePullPolicy,
    command: [
      "etcd",
      "--name=$(POD_NAME)",
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${clientScheme}://0.0.0.0:${clientPort}`,
      `--advertise-client-urls=${clientScheme}://${host}:${clientPort}`,
      `--listen-peer-urls=${peerScheme}://0.0.0.0:${peerPort}`,
      `--initial-advertise-peer-urls=${peerScheme}://${host}:${peerPort}`,
      `--initial-cluster=${membershipOf(restore).initialCluster}`,
      `--initial-cluster-token=${token}`,
      // The volumes already hold a cluster. A member whose volume was lost must not bootstrap another one.
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
    // A NOSPACE alarm leaves the members in the client Service, through which a person disarms it.
    startupProbe: probe("exclude=NOSPACE&serializable=true", { periodSeconds: 2, failureThreshold: 900 }),
    livenessProbe: probe("exclude=NOSPACE&serializable=true", { periodSeconds: 10, failureThreshold: 8 }),
    readinessProbe: probe("exclude=NOSPACE", { periodSeconds: 2, failureThreshold: 3 }),
    ...containerDefaults(restore),
    volumeMounts: [
      { name: "data", mountPath },
      ...secretMount("client-tls", clientTlsPath, tls?.client),
      ...secretMount("peer-tls", peerTlsPath, tls?.peer),
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
