import {
  type Acceptance,
  type Change,
  type Refusal,
  type RefusedChange,
  type Spec,
  absolutePath,
  objectName,
  refusals,
  refusedChanges,
} from "./case.ts";

const twoEndpoints = ["https://10.0.0.11:2379", "https://10.0.0.12:2379"];
const etcd = { endpoints: twoEndpoints };
const files = {
  ca: "/etc/kubernetes/pki/etcd/ca.crt",
  cert: "/etc/kubernetes/pki/etcd/c.crt",
  key: "/etc/kubernetes/pki/etcd/c.key",
};
export function backup(changes: Spec = {}): Spec {
  return { clusterName: "prod", storeRef: { name: "prod" }, etcd, ...changes };
}

const imported = { backup: "20260820T120000Z-r00000000000000004711-k3v9x2" };
/** A record of a stored backup; `changes` replace fields of the spec. */
export function importedBackup(changes: Spec = {}): Spec {
  return { clusterName: "prod", storeRef: { name: "prod" }, imported, ...changes };
}

const withEtcd = (changes: Spec): Spec => backup({ etcd: { ...etcd, ...changes } });
const withEndpoints = (...endpoints: string[]): Spec => backup({ etcd: { endpoints } });

/** Together they set every field of the kind. */
export const acceptedBackups: Acceptance[] = [
  { name: "a minimal backup", kind: "EtcdBackup", spec: backup() },
  {
    name: "a backup with every setting",
    kind: "EtcdBackup",
    spec: backup({
      clusterName: "eu-1.prod",
      etcd: {
        endpoints: ["https://etcd-0.etcd:2379", "https://[fd00::11]:2379", "https://10.0.0.11:65535"],
        tls: { secretRef: { name: "etcd-client" }, serverName: "etcd.internal" },
        auth: { secretRef: { name: "etcd-root" } },
        memberSelection: { prefer: "Any", name: "etcd-2", maxLag: 0, allowWithoutQuorum: true },
      },
      compression: "None",
      maxRate: "50Mi",
      verification: { readBack: true, hashKV: "Required" },
      deletionPolicy: "Delete",
      timeoutSeconds: 10,
      backoffLimit: 0,
    }),
  },
  {
    name: "a Service of another namespace, with mounted certificates",
    kind: "EtcdBackup",
    spec: backup({
      etcd: {
        service: { name: "etcd", namespace: "kube-system", port: 2381, scheme: "https" },
        tls: { files },
      },
    }),
  },
  {
    name: "a Service that speaks http",
    kind: "EtcdBackup",
    spec: backup({ etcd: { service: { name: "etcd", scheme: "http" } } }),
  },
  {
    name: "http endpoints",
    kind: "EtcdBackup",
    spec: withEndpoints("http://127.0.0.1:2379", "http://[::1]:2379"),
  },
  {
    name: "an authority without a client certificate",
    kind: "EtcdBackup",
    spec: withEtcd({ tls: { files: { ca: "/ca.crt" } } }),
  },
  {
    name: "kubeadm's static pods",
    kind: "EtcdBackup",
    spec: backup({
      etcd: {
        podSelector: {
          namespace: "kube-system",
          matchLabels: { component: "etcd", tier: "control-plane" },
          port: 2379,
          scheme: "https",
        },
        tls: { files },
      },
    }),
  },
  { name: "the longest cluster name", kind: "EtcdBackup", spec: backup({ clusterName: "a".repeat(63) }) },
  {
    name: "the widest ranges",
    kind: "EtcdBackup",
    spec: backup({ timeoutSeconds: 86400, backoffLimit: 10 }),
  },
  {
    name: "fifty endpoints",
    kind: "EtcdBackup",
    spec: withEndpoints(...Array.from({ length: 50 }, (_, i) => `https://10.0.1.${i}:2379`)),
  },
  { name: "an imported backup", kind: "EtcdBackup", spec: importedBackup() },
  {
    name: "an imported backup that says Retain and sets fields that it does not use",
    kind: "EtcdBackup",
    spec: importedBackup({ deletionPolicy: "Retain", timeoutSeconds: 60, compression: "None", maxRate: "1" }),
  },
];

const backups = (field: string, message: string, specs: Record<string, Spec>): Refusal[] =>
  refusals("EtcdBackup", field, message, specs);
const https = (what: string) => `tls needs https: ${what}, or remove tls`;
const tls = { secretRef: { name: "etcd-client" } };
const pods = { matchLabels: { component: "etcd" } };

export const refusedBackups: Refusal[] = [
  ...backups("spec.clusterName", "must be lower-case letters, digits, '-' or single '.'", {
    "a cluster name in capitals": backup({ clusterName: "Prod" }),
    "the cluster name ..": backup({ clusterName: ".." }),
    "a cluster name with two dots in a row": backup({ clusterName: "a..b" }),
    "a cluster name of two segments": backup({ clusterName: "eu/prod" }),
    "a cluster name that ends in a hyphen": backup({ clusterName: "prod-" }),
  }),
  ...backups("spec.maxRate", "must be bytes per second as a whole number", {
    "a rate of nothing": backup({ maxRate: "0" }),
    "a rate in decimal units": backup({ maxRate: "50MB" }),
    "a rate with a fraction": backup({ maxRate: "1.5Gi" }),
    "an empty rate": backup({ maxRate: "" }),
  }),
  ...backups("spec", "set exactly one of etcd, imported", {
    "a backup of no cluster and of no stored backup": backup({ etcd: undefined }),
    "a backup of a cluster and of a stored backup": backup({ imported }),
  }),
  ...backups("spec.deletionPolicy", "an imported record never deletes the stored backup", {
    "an imported backup that deletes the stored one": importedBackup({ deletionPolicy: "Delete" }),
  }),
  ...backups("spec.imported.backup", "must be the name of a backup as `etcd-backup list` shows it", {
    "the newest backup as an imported one": importedBackup({ imported: { backup: "latest" } }),
    "a data object as an imported backup": importedBackup({
      imported: { backup: "20260820T120000Z-k3v9x2.db.zst" },
    }),
    "a path as an imported backup": importedBackup({ imported: { backup: `prod/${imported.backup}` } }),
  }),
  ...backups("spec.etcd", "set exactly one of endpoints, service, podSelector", {
    "no way to etcd": backup({ etcd: {} }),
    "endpoints and a Service": withEtcd({ service: { name: "etcd" } }),
    "all three ways to etcd": withEtcd({ service: { name: "etcd" }, podSelector: pods }),
  }),
  ...backups("spec.etcd.endpoints[]", "must be a client URL of scheme, host and port", {
    "an endpoint without a scheme": withEndpoints("10.0.0.11:2379"),
    "an endpoint without a port": withEndpoints("https://10.0.0.11"),
    "an endpoint with a path": withEndpoints("https://10.0.0.11:2379/"),
    "an endpoint with a user": withEndpoints("https://root:secret@10.0.0.11:2379"),
    "an endpoint of another scheme": withEndpoints("unix://etcd:2379"),
    "an endpoint with an impossible port": withEndpoints("https://10.0.0.11:65536"),
    "an endpoint with port 0": withEndpoints("https://10.0.0.11:0"),
    "an IPv6 endpoint without brackets": withEndpoints("https://fd00::11:2379"),
    "two endpoints in one string": withEndpoints("https://10.0.0.11:2379,https://10.0.0.12:2379"),
    "an endpoint with a line break": withEndpoints("https://10.0.0.11:2379\n"),
  }),
  ...backups("spec.etcd.endpoints[]", "Duplicate value", {
    "an endpoint twice": withEndpoints("https://a:1", "https://a:1"),
  }),
  ...backups("spec.etcd.endpoints", "must all have the scheme https, or all http", {
    "mixed schemes": withEndpoints("https://10.0.0.11:2379", "http://10.0.0.12:2379"),
  }),
  ...backups("spec.etcd.tls", https("use https:// endpoints"), {
    "tls with http endpoints": backup({ etcd: { endpoints: ["http://10.0.0.11:2379"], tls } }),
  }),
  ...backups("spec.etcd.tls", https("set service.scheme to https"), {
    "tls with an http Service": backup({ etcd: { service: { name: "etcd", scheme: "http" }, tls } }),
  }),
  ...backups("spec.etcd.tls", https("set podSelector.scheme to https"), {
    "tls with http pods": backup({ etcd: { podSelector: { ...pods, scheme: "http" }, tls } }),
  }),
  ...backups("spec.etcd.tls", "set exactly one of secretRef, files", {
    "tls without certificates": withEtcd({ tls: { serverName: "etcd" } }),
    "tls from a Secret and from files": withEtcd({ tls: { ...tls, files } }),
  }),
  ...backups("spec.etcd.tls.serverName", "must be a DNS name or an IP address", {
    "a server name with a port and scheme": withEtcd({ tls: { ...tls, serverName: "https://etcd:2379" } }),
  }),
  ...backups("spec.etcd.tls.files", "set both cert and key, or neither", {
    "a certificate without its key": withEtcd({ tls: { files: { ca: "/ca.crt", cert: "/c.crt" } } }),
    "a key without its certificate": withEtcd({ tls: { files: { ca: "/ca.crt", key: "/c.key" } } }),
  }),
  ...backups("spec.etcd.tls.files.ca", absolutePath, {
    "a relative file": withEtcd({ tls: { files: { ca: "ca.crt" } } }),
  }),
  ...backups("spec.etcd.tls.files.cert", absolutePath, {
    "a file path with ..": withEtcd({ tls: { files: { ...files, cert: "/pki/../c.crt" } } }),
  }),
  ...backups("spec.etcd.tls.files.key", absolutePath, {
    "a path that ends in a slash": withEtcd({ tls: { files: { ...files, key: "/pki/" } } }),
  }),
  ...backups("spec.etcd.service.name", objectName, {
    "a Service URL": backup({ etcd: { service: { name: "https://etcd" } } }),
  }),
  ...backups("spec.etcd.service.namespace", objectName, {
    "a namespace in capitals": backup({ etcd: { service: { name: "etcd", namespace: "Kube" } } }),
  }),
  ...backups("spec.etcd.podSelector.namespace", objectName, {
    "every namespace": backup({ etcd: { podSelector: { ...pods, namespace: "*" } } }),
  }),
  ...backups("spec.etcd.tls.secretRef.name", objectName, {
    "a Secret of another namespace": withEtcd({ tls: { secretRef: { name: "kube-system/etcd" } } }),
  }),
  ...backups("spec.etcd.auth.secretRef.name", objectName, {
    "a Secret name with an underscore": withEtcd({ auth: { secretRef: { name: "etcd_root" } } }),
  }),
  ...backups("spec.storeRef.name", objectName, {
    "a store by URL": backup({ storeRef: { name: "s3://bucket" } }),
  }),
];

const fixed = "cannot be changed: create another EtcdBackup (only deletionPolicy can be changed)";

export const refusedBackupChanges: RefusedChange[] = [
  ...refusedChanges("EtcdBackup", fixed, [
    ["the cluster name", "spec.clusterName", backup(), backup({ clusterName: "other" })],
    ["the store", "spec.storeRef", backup(), backup({ storeRef: { name: "other" } })],
    ["an endpoint", "spec.etcd", backup(), withEndpoints("https://10.0.0.99:2379")],
    ["an endpoint more", "spec.etcd", backup(), withEndpoints(...twoEndpoints, "https://10.0.0.13:2379")],
    ["the way to etcd", "spec.etcd", backup(), backup({ etcd: { service: { name: "etcd" } } })],
    ["tls added", "spec.etcd", backup(), withEtcd({ tls })],
    ["tls removed", "spec.etcd", withEtcd({ tls }), backup()],
    ["auth added", "spec.etcd", backup(), withEtcd({ auth: { secretRef: { name: "root" } } })],
    ["auth removed", "spec.etcd", withEtcd({ auth: { secretRef: { name: "root" } } }), backup()],
    [
      "a server name removed",
      "spec.etcd",
      withEtcd({ tls: { ...tls, serverName: "etcd" } }),
      withEtcd({ tls }),
    ],
    ["a member named", "spec.etcd", backup(), withEtcd({ memberSelection: { name: "etcd-0" } })],
    ["member selection removed", "spec.etcd", withEtcd({ memberSelection: { prefer: "Leader" } }), backup()],
    ["the compression", "spec.compression", backup(), backup({ compression: "None" })],
    ["the compression removed", "spec.compression", backup({ compression: "None" }), backup()],
    ["a rate", "spec.maxRate", backup(), backup({ maxRate: "1Gi" })],
    ["the rate removed", "spec.maxRate", backup({ maxRate: "1000" }), backup()],
    ["a proof more", "spec.verification", backup(), backup({ verification: { readBack: true } })],
    ["the proofs removed", "spec.verification", backup({ verification: { hashKV: "Skip" } }), backup()],
    ["the timeout", "spec.timeoutSeconds", backup(), backup({ timeoutSeconds: 60 })],
    ["the timeout removed", "spec.timeoutSeconds", backup({ timeoutSeconds: 60 }), backup()],
    ["the attempts", "spec.backoffLimit", backup(), backup({ backoffLimit: 0 })],
    [
      "the imported backup",
      "spec.imported",
      importedBackup(),
      importedBackup({ imported: { backup: imported.backup.replace("4711", "4712") } }),
    ],
    ["a cluster in place of the imported backup", "spec.imported", importedBackup(), backup()],
    ["an imported backup in place of the cluster", "spec.etcd", backup(), importedBackup()],
  ]),
  ...refusedChanges("EtcdBackup", "an imported record never deletes the stored backup", [
    [
      "deletionPolicy of an imported backup to Delete",
      "spec.deletionPolicy",
      importedBackup(),
      importedBackup({ deletionPolicy: "Delete" }),
    ],
  ]),
];

export const acceptedBackupChanges: Change[] = [
  {
    name: "deletionPolicy to Delete",
    kind: "EtcdBackup",
    from: backup(),
    to: backup({ deletionPolicy: "Delete" }),
  },
  {
    name: "deletionPolicy to Retain",
    kind: "EtcdBackup",
    from: backup({ deletionPolicy: "Delete" }),
    to: backup({ deletionPolicy: "Retain" }),
  },
  {
    name: "deletionPolicy removed",
    kind: "EtcdBackup",
    from: backup({ deletionPolicy: "Delete" }),
    to: backup(),
  },
  {
    name: "a default written out",
    kind: "EtcdBackup",
    from: backup(),
    to: backup({ compression: "Zstd", verification: { readBack: false } }),
  },
];
