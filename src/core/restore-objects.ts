import type { EtcdBackupStore } from "../api/etcd-backup-store.ts";
import type { EtcdBackupSpec } from "../api/etcd-backup.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../api/etcd-restore.ts";
import { OperatorError } from "./errors.ts";
import { parseEtcdVersion } from "./etcd-version.ts";

/** On everything that a restore makes: the UID of the EtcdRestore. What lacks it is somebody else's. */
export const restoreLabel = "etcdbackup.dev/restore";

/** An object to be created, but for apiVersion and kind, which its resource adds. */
export interface RestoreObject {
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller: boolean }[];
  };
  spec: Record<string, unknown>;
}

/** What the objects are made from; all of it is decided before the first one is created. */
export interface RestoreBlueprint {
  restore: EtcdRestore;
  store: EtcdBackupStore;
  source: NonNullable<EtcdRestoreStatus["source"]>;
  token: string;
  /** Image of this program. */
  operatorImage: string;
  /** `restoreArguments` of the restore room: the tool's flags. */
  toolArguments: (args: {
    name: string;
    peerUrls: string;
    initialCluster: string;
    snapshot: string;
    dataDir: string;
  }) => string[];
}

const clientPort = 2379;
const peerPort = 2380;
const metricsPort = 2381;
const mountPath = "/var/lib/etcd";
/** Below the mount, since a fresh file system has a lost+found and a volume's root is seldom etcd's own. */
export const dataDir = `${mountPath}/data`;
const clientTlsPath = "/etc/etcd/tls/client";
const peerTlsPath = "/etc/etcd/tls/peer";
const storeCaPath = "/etc/etcd-backup/store-ca";
/** As distroless images number their user. */
const nobody = 65532;

export function memberName({ spec }: EtcdRestore, index: number): string {
  return `${spec.target.cluster.name}-${index}`;
}

export function volumeName(restore: EtcdRestore, index: number): string {
  return `data-${memberName(restore, index)}`;
}

export function jobName(restore: EtcdRestore, index: number, attempt: number): string {
  return `${memberName(restore, index)}-restore-${attempt}`;
}

export function peerServiceName({ spec }: EtcdRestore): string {
  return `${spec.target.cluster.name}-peers`;
}

export function clientServiceName({ spec }: EtcdRestore): string {
  return `${spec.target.cluster.name}-client`;
}

/** Of the member's Pods alone, not of its Jobs'. */
export function memberLabels({ spec }: EtcdRestore): Record<string, string> {
  return { ...clusterLabels(spec.target.cluster.name), "app.kubernetes.io/component": "member" };
}

function clusterLabels(name: string): Record<string, string> {
  return { "app.kubernetes.io/name": "etcd", "app.kubernetes.io/instance": name };
}

function metadataOf(restore: EtcdRestore, name: string): RestoreObject["metadata"] {
  return {
    name,
    namespace: namespaceOf(restore),
    labels: {
      ...clusterLabels(restore.spec.target.cluster.name),
      "app.kubernetes.io/managed-by": "etcd-backup-operator",
      [restoreLabel]: restore.metadata.uid,
    },
  };
}

function namespaceOf({ metadata }: EtcdRestore): string {
  return metadata.namespace ?? "default";
}

/** Of etcd in the target's image: said, or read from the tag. Throws InvalidConfiguration when neither tells. */
export function targetVersion({ spec }: EtcdRestore): string {
  const { image, etcdVersion } = spec.target.cluster;
  if (etcdVersion !== undefined) return etcdVersion;
  const tag = /:([^/@:]+)(@.*)?$/.exec(image)?.[1] ?? "";
  const parsed = parseEtcdVersion(tag);
  if (parsed !== undefined) return `${parsed.major}.${parsed.minor}.${parsed.patch}`;
  throw new OperatorError("InvalidConfiguration", `the tag of ${image} does not tell etcd's version`, {
    hint: "set spec.target.cluster.etcdVersion",
  });
}

/** How the operator reaches the new cluster. */
export function connectionTo(restore: EtcdRestore): EtcdBackupSpec["etcd"] {
  const { tls, auth } = restore.spec.target.cluster;
  const secure = tls?.client !== undefined;
  return {
    podSelector: { matchLabels: memberLabels(restore), port: clientPort, scheme: secure ? "https" : "http" },
    ...(tls?.client === undefined
      ? {}
      : {
          tls: {
            secretRef: tls.client,
            serverName: `${clientServiceName(restore)}.${namespaceOf(restore)}.svc`,
          },
        }),
    ...(auth === undefined ? {} : { auth }),
    memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
  };
}

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

/** Fetch and verify, restore with the target's own tool, put in place: three containers, one after the other. */
export function memberJob(blueprint: RestoreBlueprint, index: number, attempt: number): RestoreObject {
  const { restore, store, source, operatorImage } = blueprint;
  const { cluster } = restore.spec.target;
  const work = `${dataDir}/.restoring-${restore.metadata.uid}`;
  const step = (name: string, args: string[]) => ({
    name,
    image: operatorImage,
    imagePullPolicy: cluster.imagePullPolicy,
    args: ["restore-step", name, "--id", restore.metadata.uid, "--data-dir", dataDir, ...args],
    ...containerDefaults(restore),
  });
  const tool = targetVersion(restore).startsWith("3.4.") ? "etcdctl" : "etcdutl";
  const { peerUrls, initialCluster } = membershipOf(restore);
  const name = memberName(restore, index);
  const backup = `${source.clusterName}/${source.name}`;
  const fetch = {
    ...step("fetch", ["--backup", backup, "--sha256", source.sha256, ...storeFlags(store)]),
    env: storeEnv(store),
  };
  const restoring = {
    name: "restore",
    image: cluster.image,
    imagePullPolicy: cluster.imagePullPolicy,
    command: [
      tool,
      ...blueprint.toolArguments({
        name,
        peerUrls: peerUrls(index),
        initialCluster,
        snapshot: `${work}/snapshot.db`,
        dataDir: `${work}/data`,
      }),
    ],
    env: [{ name: "ETCDCTL_API", value: "3" }],
    ...containerDefaults(restore),
  };
  const place = step("place", ["--member", name, "--token", blueprint.token, "--backup", backup]);
  const caSecret = store.spec.s3?.caBundleSecretRef?.name;
  const { metadata } = restore;
  const owner = {
    apiVersion: restore.apiVersion,
    kind: restore.kind,
    name: metadata.name,
    uid: metadata.uid,
    controller: true,
  };
  return {
    metadata: { ...metadataOf(restore, jobName(restore, index, attempt)), ownerReferences: [owner] },
    spec: {
      // The operator counts the attempts: it reads why one failed before it makes the next.
      backoffLimit: 0,
      // A Pod that has ended keeps its volume from being deleted.
      ttlSecondsAfterFinished: 300,
      template: {
        metadata: podMetadata(restore, "restore"),
        spec: {
          ...podDefaults(restore),
          restartPolicy: "Never",
          initContainers: [fetch, restoring].map(withVolumes(caSecret)),
          containers: [place].map(withVolumes(undefined)),
          volumes: [
            { name: "data", persistentVolumeClaim: { claimName: volumeName(restore, index) } },
            ...(caSecret === undefined ? [] : [{ name: "store-ca", secret: { secretName: caSecret } }]),
          ],
        },
      },
    },
  };
}

/** What the fetch step is told of the store. Its credentials are in the environment, by reference. */
function storeFlags({ spec }: EtcdBackupStore): string[] {
  const { s3 } = spec;
  if (s3 === undefined) throw fileStore();
  const settings = [
    ...(s3.endpoint === undefined ? [] : [`endpoint=${encodeURIComponent(s3.endpoint)}`]),
    ...(s3.region === undefined ? [] : [`region=${encodeURIComponent(s3.region)}`]),
    ...(s3.forcePathStyle ? ["pathStyle=true"] : []),
  ];
  const folder = s3.prefix === undefined ? s3.bucket : `${s3.bucket}/${s3.prefix}`;
  const query = settings.length === 0 ? "" : `?${settings.join("&")}`;
  const ca = s3.caBundleSecretRef === undefined ? [] : ["--store-ca", `${storeCaPath}/ca.crt`];
  return ["--store", `s3://${folder}${query}`, ...ca];
}

/** A directory of the operator's own Pod is not there in a member's. */
export function fileStore(): OperatorError {
  return new OperatorError(
    "InvalidConfiguration",
    "an EtcdRestore reads from s3: the members' Jobs do not see a directory of the operator",
    {
      hint: "restore with `etcd-backup restore` where the directory is mounted, or copy the backup to a bucket",
    },
  );
}

function storeEnv({ spec }: EtcdBackupStore): object[] {
  const name = spec.s3?.credentialsSecretRef?.name;
  if (name === undefined) return [];
  const from = (key: string, optional: boolean) => ({
    name: key,
    valueFrom: { secretKeyRef: { name, key, ...(optional ? { optional } : {}) } },
  });
  return [
    from("AWS_ACCESS_KEY_ID", false),
    from("AWS_SECRET_ACCESS_KEY", false),
    from("AWS_SESSION_TOKEN", true),
  ];
}

const withVolumes = (caSecret: string | undefined) => (container: object) => ({
  ...container,
  volumeMounts: [
    { name: "data", mountPath },
    ...(caSecret === undefined ? [] : [{ name: "store-ca", mountPath: storeCaPath, readOnly: true }]),
  ],
});

/** The members' names and peer URLs, by which they find each other for as long as they live. */
export function membershipOf(restore: EtcdRestore): {
  peerUrls: (index: number) => string;
  initialCluster: string;
} {
  const { replicas, tls } = restore.spec.target.cluster;
  const scheme = tls?.peer === undefined ? "http" : "https";
  const domain = `${peerServiceName(restore)}.${namespaceOf(restore)}.svc`;
  const peerUrls = (index: number) => `${scheme}://${memberName(restore, index)}.${domain}:${peerPort}`;
  const all = Array.from({ length: replicas }, (_, i) => `${memberName(restore, i)}=${peerUrls(i)}`);
  return { peerUrls, initialCluster: all.join(",") };
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

function podMetadata(restore: EtcdRestore, component: "member" | "restore"): object {
  const { name, podTemplate } = restore.spec.target.cluster;
  return {
    labels: { ...podTemplate?.labels, ...clusterLabels(name), "app.kubernetes.io/component": component },
    ...(podTemplate?.annotations === undefined ? {} : { annotations: podTemplate.annotations }),
  };
}

/** Jobs are placed as their members will be: a volume is made where its first Pod runs. */
function podDefaults({ spec }: EtcdRestore): Record<string, unknown> {
  const { name, podTemplate = {} } = spec.target.cluster;
  const { labels: _, annotations: __, securityContext, affinity, ...placed } = podTemplate;
  const apart = {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 100,
          podAffinityTerm: {
            labelSelector: { matchLabels: clusterLabels(name) },
            topologyKey: "kubernetes.io/hostname",
          },
        },
      ],
    },
  };
  return {
    ...placed,
    automountServiceAccountToken: podTemplate.serviceAccountName !== undefined,
    affinity: affinity ?? apart,
    securityContext: securityContext ?? {
      runAsNonRoot: true,
      runAsUser: nobody,
      runAsGroup: nobody,
      fsGroup: nobody,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
}

function containerDefaults({ spec }: EtcdRestore): Record<string, unknown> {
  const { resources } = spec.target.cluster;
  return {
    ...(resources === undefined ? {} : { resources }),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}
