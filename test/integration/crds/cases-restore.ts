import type { Acceptance, Change, Kind, Refusal, RefusedChange, Spec } from "./case.ts";

const kind: Kind = "EtcdRestore";
const cluster = { name: "back", image: "registry.k8s.io/etcd:3.6.5-0", storage: { size: "8Gi" } };
const fromStore = { storeRef: { name: "main" }, clusterName: "prod" };

/** The minimal restore; `changes` replace fields of the spec, `ofCluster` those of the new cluster. */
export function restore(changes: Spec = {}, ofCluster: Spec = {}): Spec {
  return {
    source: { backupRef: { name: "nightly" } },
    target: { cluster: { ...cluster, ...ofCluster } },
    ...changes,
  };
}

const withCluster = (changes: Spec): Spec => restore({}, changes);
const withStore = (changes: Spec): Spec => restore({ source: { store: { ...fromStore, ...changes } } });

/** Together they set every field of the kind. */
export const acceptedRestores: Acceptance[] = [
  { name: "a minimal restore", spec: restore() },
  {
    name: "a restore from a store, with every setting",
    spec: restore(
      {
        source: { store: { ...fromStore, backup: "20260820T120000Z-r00000000000000004711-k3v9x2" } },
        revisionBump: 0,
        timeoutSeconds: 60,
        backoffLimit: 0,
      },
      {
        replicas: 5,
        image: `quay.io/coreos/etcd:v3.6.16@sha256:${"0".repeat(64)}`,
        etcdVersion: "3.6.16",
        imagePullPolicy: "Always",
        storage: { size: "1.5Gi", storageClassName: "fast" },
        resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { memory: "2Gi" } },
        extraArgs: ["--quota-backend-bytes=8589934592", "--experimental"],
        tls: { client: { name: "client" }, peer: { name: "peer" } },
        auth: { secretRef: { name: "root" } },
        podTemplate: {
          labels: { team: "a" },
          annotations: { note: "b" },
          nodeSelector: { disk: "ssd" },
          affinity: { nodeAffinity: {} },
          tolerations: [{ operator: "Exists" }],
          topologySpreadConstraints: [{ maxSkew: 1 }],
          priorityClassName: "high",
          serviceAccountName: "etcd",
          imagePullSecrets: [{ name: "registry" }],
          securityContext: { runAsUser: 1000 },
        },
      },
    ),
  },
  { name: "the newest backup of a store", spec: withStore({ backup: "latest" }) },
  ...[1, 3, 5, 7].map((replicas) => ({ name: `${replicas} members`, spec: withCluster({ replicas }) })),
  { name: "the longest name", spec: withCluster({ name: "a".repeat(40) }) },
  { name: "an image by digest alone", spec: withCluster({ image: `etcd@sha256:${"a".repeat(64)}` }) },
  { name: "an image on a port", spec: withCluster({ image: "registry:5000/etcd:v3.5.35" }) },
  { name: "certificates for clients alone", spec: withCluster({ tls: { client: { name: "client" } } }) },
  {
    name: "the widest ranges",
    spec: restore({ revisionBump: 1_000_000_000_000, timeoutSeconds: 86400, backoffLimit: 10 }),
  },
].map((row) => ({ kind, ...row }));

const rows: [name: string, spec: Spec, field: string, message: string][] = [
  ["no source", restore({ source: {} }), "spec.source", "exactly one of"],
  [
    "two sources",
    restore({ source: { backupRef: { name: "nightly" }, store: fromStore } }),
    "spec.source",
    "exactly one of",
  ],
  [
    "a data object in the place of a backup's name",
    withStore({ backup: "20260820T120000Z-k3v9x2.db.zst" }),
    "spec.source.store.backup",
    "must be latest, or the name of a backup",
  ],
  ["the cluster's name in capitals", withStore({ clusterName: "Prod" }), "spec.source.store.clusterName", ""],
  [
    "a name that begins with a digit",
    withCluster({ name: "3back" }),
    "spec.target.cluster.name",
    "DNS label",
  ],
  ["a name with a dot", withCluster({ name: "back.prod" }), "spec.target.cluster.name", "DNS label"],
  ...[2, 4, 6].map((replicas): [string, Spec, string, string] => [
    `${replicas} members`,
    withCluster({ replicas }),
    "spec.target.cluster.replicas",
    "must be odd",
  ]),
  [
    "an image with a space",
    withCluster({ image: "etcd 3.6" }),
    "spec.target.cluster.image",
    "must be the name of a container image",
  ],
  [
    "half a digest",
    withCluster({ image: "etcd@sha256:abc" }),
    "spec.target.cluster.image",
    "must be the name of a container image",
  ],
  [
    "a version without a patch",
    withCluster({ etcdVersion: "3.6" }),
    "spec.target.cluster.etcdVersion",
    "must be a version",
  ],
  ["etcd 2", withCluster({ etcdVersion: "2.3.8" }), "spec.target.cluster.etcdVersion", "must be a version"],
  [
    "a size with a space",
    withCluster({ storage: { size: "8 Gi" } }),
    "spec.target.cluster.storage.size",
    "must be a quantity",
  ],
  [
    "a negative size",
    withCluster({ storage: { size: "-8Gi" } }),
    "spec.target.cluster.storage.size",
    "must be a quantity",
  ],
  [
    "two flags in one",
    withCluster({ extraArgs: ["--a", "b"] }),
    "spec.target.cluster.extraArgs[]",
    "must be one flag",
  ],
  [
    "a command for a flag",
    withCluster({ extraArgs: ["; rm -rf /"] }),
    "spec.target.cluster.extraArgs[]",
    "must be one flag",
  ],
  [
    "a request that is no quantity",
    withCluster({ resources: { requests: { cpu: "half" } } }),
    "spec.target.cluster.resources.requests[cpu]",
    "must be a quantity",
  ],
  [
    "a limit that is no quantity",
    withCluster({ resources: { limits: { memory: "2 GB" } } }),
    "spec.target.cluster.resources.limits[memory]",
    "must be a quantity",
  ],
  ["empty tls", withCluster({ tls: {} }), "spec.target.cluster.tls", "at least 1"],
  ...(
    [
      ["backupRef", restore({ source: { backupRef: { name: "No" } } }), "source.backupRef.name"],
      ["storeRef", withStore({ storeRef: { name: "No" } }), "source.store.storeRef.name"],
      ["tls.client", withCluster({ tls: { client: { name: "No" } } }), "target.cluster.tls.client.name"],
      ["tls.peer", withCluster({ tls: { peer: { name: "No" } } }), "target.cluster.tls.peer.name"],
      ["auth", withCluster({ auth: { secretRef: { name: "No" } } }), "target.cluster.auth.secretRef.name"],
    ] as const
  ).map(([what, spec, field]): [string, Spec, string, string] => [
    `${what} with a name in capitals`,
    spec,
    `spec.${field}`,
    "must be the name of a Kubernetes object",
  ]),
];
export const refusedRestores: Refusal[] = rows.map(([name, spec, field, message]) => ({
  name: `a restore: ${name}`,
  kind,
  spec,
  field,
  message,
}));

const fixed = "cannot be changed: delete this EtcdRestore, which deletes no volume, and create another";
const changes: [name: string, field: string, to: Spec][] = [
  ["another backup", "spec.source", restore({ source: { backupRef: { name: "other" } } })],
  ["another name for the cluster", "spec.target", withCluster({ name: "other" })],
  ["more members", "spec.target", withCluster({ replicas: 5 })],
  ["another bump", "spec.revisionBump", restore({ revisionBump: 5 })],
  ["another timeout", "spec.timeoutSeconds", restore({ timeoutSeconds: 60 })],
  ["more attempts", "spec.backoffLimit", restore({ backoffLimit: 10 })],
];
export const refusedRestoreChanges: RefusedChange[] = changes.map(([name, field, to]) => ({
  name,
  kind,
  from: restore(),
  to,
  field,
  message: fixed,
}));

export const acceptedRestoreChanges: Change[] = [
  {
    name: "defaults written out",
    kind,
    from: restore(),
    to: restore({ revisionBump: 1_000_000_000 }, { replicas: 3, imagePullPolicy: "IfNotPresent" }),
  },
];
