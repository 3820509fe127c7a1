/** Objects that the API server has to take or refuse. A spec is written as a person would write it. */
export type Spec = Record<string, unknown>;
export type Kind = "EtcdBackup" | "EtcdBackupStore" | "EtcdRestore";

export interface Refusal {
  name: string;
  kind: Kind;
  spec: Spec;
  field: string;
  message: string;
}

export interface Change {
  name: string;
  kind: Kind;
  from: Spec;
  to: Spec;
}

const twoEndpoints = ["https://10.0.0.11:2379", "https://10.0.0.12:2379"];
const etcd = { endpoints: twoEndpoints };
const files = {
  ca: "/etc/kubernetes/pki/etcd/ca.crt",
  cert: "/etc/kubernetes/pki/etcd/c.crt",
  key: "/etc/kubernetes/pki/etcd/c.key",
};
const s3 = { bucket: "etcd-backups" };

export function backup(changes: Spec = {}): Spec {
  return { clusterName: "prod", storeRef: { name: "prod" }, etcd, ...changes };
}

const withEtcd = (changes: Spec): Spec => backup({ etcd: { ...etcd, ...changes } });
const withEndpoints = (...endpoints: string[]): Spec => backup({ etcd: { endpoints } });
const withS3 = (changes: Spec): Spec => ({ s3: { ...s3, ...changes } });

/** Together they set every field there is. */
export const accepted: { name: string; kind: Kind; spec: Spec }[] = [
  { name: "the least backup", kind: "EtcdBackup", spec: backup() },
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
  { name: "the least bucket", kind: "EtcdBackupStore", spec: withS3({}) },
  {
    name: "a bucket with every setting",
    kind: "EtcdBackupStore",
    spec: {
      accessMode: "ReadOnly",
      s3: {
        bucket: "etcd.backups-1",
        prefix: "clusters/eu_1/a=b.c",
        region: "RegionOne",
        endpoint: "https://minio.example.com:9000/storage/v1",
        forcePathStyle: true,
        caBundleSecretRef: { name: "minio-ca" },
        credentialsSecretRef: { name: "minio.credentials" },
        serverSideEncryption: { mode: "KMS", kmsKeyID: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd" },
        storageClass: "STANDARD_IA",
      },
    },
  },
  {
    name: "an endpoint on an IPv6 address",
    kind: "EtcdBackupStore",
    spec: withS3({ endpoint: "http://[fd00::9]:9000" }),
  },
  {
    name: "KMS with the default key",
    kind: "EtcdBackupStore",
    spec: withS3({ serverSideEncryption: { mode: "KMS" } }),
  },
  {
    name: "keys of the store",
    kind: "EtcdBackupStore",
    spec: withS3({ serverSideEncryption: { mode: "AES256" } }),
  },
  { name: "a directory", kind: "EtcdBackupStore", spec: { file: { path: "/mnt/backups..old/.etcd" } } },
];

const backups = (field: string, message: string, specs: Record<string, Spec>): Refusal[] =>
  Object.entries(specs).map(([name, spec]) => ({ name, kind: "EtcdBackup", spec, field, message }));
const stores = (field: string, message: string, specs: Record<string, Spec>): Refusal[] =>
  Object.entries(specs).map(([name, spec]) => ({ name, kind: "EtcdBackupStore", spec, field, message }));

const absolute = "must be an absolute path without '.' and '..'";
const object = "must be the name of a Kubernetes object";
const https = (what: string) => `tls needs https: ${what}, or remove tls`;
const tls = { secretRef: { name: "etcd-client" } };
const pods = { matchLabels: { component: "etcd" } };

export const refused: Refusal[] = [
  ...backups("spec.clusterName", "must be lower-case letters, digits, '-' or single '.'", {
    "a cluster name in capitals": backup({ clusterName: "Prod" }),
    "a cluster name that climbs": backup({ clusterName: ".." }),
    "a cluster name with two dots in a row": backup({ clusterName: "a..b" }),
    "a cluster name of two segments": backup({ clusterName: "eu/prod" }),
    "a cluster name that ends in a hyphen": backup({ clusterName: "prod-" }),
  }),
  ...backups("spec.maxRate", "must be bytes per second as a whole number", {
    "a rate of nothing": backup({ maxRate: "0" }),
    "a rate in decimal units": backup({ maxRate: "50MB" }),
    "a rate with a fraction": backup({ maxRate: "1.5Gi" }),
    "no rate at all": backup({ maxRate: "" }),
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
  ...backups("spec.etcd.tls.files.ca", absolute, {
    "a relative file": withEtcd({ tls: { files: { ca: "ca.crt" } } }),
  }),
  ...backups("spec.etcd.tls.files.cert", absolute, {
    "a file that climbs": withEtcd({ tls: { files: { ...files, cert: "/pki/../c.crt" } } }),
  }),
  ...backups("spec.etcd.tls.files.key", absolute, {
    "a folder": withEtcd({ tls: { files: { ...files, key: "/pki/" } } }),
  }),
  ...backups("spec.etcd.service.name", object, {
    "a Service URL": backup({ etcd: { service: { name: "https://etcd" } } }),
  }),
  ...backups("spec.etcd.service.namespace", object, {
    "a namespace in capitals": backup({ etcd: { service: { name: "etcd", namespace: "Kube" } } }),
  }),
  ...backups("spec.etcd.podSelector.namespace", object, {
    "every namespace": backup({ etcd: { podSelector: { ...pods, namespace: "*" } } }),
  }),
  ...backups("spec.etcd.tls.secretRef.name", object, {
    "a Secret of another namespace": withEtcd({ tls: { secretRef: { name: "kube-system/etcd" } } }),
  }),
  ...backups("spec.etcd.auth.secretRef.name", object, {
    "a Secret name with an underscore": withEtcd({ auth: { secretRef: { name: "etcd_root" } } }),
  }),
  ...backups("spec.storeRef.name", object, {
    "a store by URL": backup({ storeRef: { name: "s3://bucket" } }),
  }),
  ...stores("spec", "set exactly one of s3, file", {
    "no store": {},
    "two stores": { s3, file: { path: "/backups" } },
  }),
  ...stores("spec.s3.bucket", "must be lower-case letters, digits, '-' or '.'", {
    "a bucket and a folder": withS3({ bucket: "bucket/folder" }),
    "a bucket by URL": withS3({ bucket: "s3://bucket" }),
    "a bucket in capitals": withS3({ bucket: "Bucket" }),
  }),
  ...stores("spec.s3.prefix", "must be a path such as backups/etcd", {
    "a prefix that begins with a slash": withS3({ prefix: "/etcd" }),
    "a prefix that ends in a slash": withS3({ prefix: "etcd/" }),
    "a prefix with an empty segment": withS3({ prefix: "a//b" }),
    "a prefix that climbs": withS3({ prefix: "a/../b" }),
    "a prefix that stays": withS3({ prefix: "./a" }),
    "a prefix with a space": withS3({ prefix: "a b" }),
  }),
  ...stores("spec.s3.region", "must be the name of a region", {
    "a region by URL": withS3({ region: "https://eu" }),
  }),
  ...stores("spec.s3.endpoint", "must be an http or https URL without user", {
    "an endpoint without a scheme": withS3({ endpoint: "minio:9000" }),
    "an endpoint with credentials": withS3({ endpoint: "https://key:secret@minio:9000" }),
    "an endpoint with a query": withS3({ endpoint: "https://minio:9000?region=x" }),
  }),
  ...stores("spec.s3.caBundleSecretRef.name", object, {
    "a path for a Secret": withS3({ caBundleSecretRef: { name: "/ca.crt" } }),
  }),
  ...stores("spec.s3.credentialsSecretRef.name", object, {
    "a Secret name that ends in a hyphen": withS3({ credentialsSecretRef: { name: "minio-" } }),
  }),
  ...stores("spec.s3.serverSideEncryption.kmsKeyID", "kmsKeyID needs mode KMS", {
    "a KMS key without KMS": withS3({ serverSideEncryption: { mode: "AES256", kmsKeyID: "alias/etcd" } }),
  }),
  ...stores("spec.s3.storageClass", "must be the name of a storage class", {
    "a storage class with a space": withS3({ storageClass: "STANDARD IA" }),
  }),
  ...stores("spec.file.path", absolute, {
    "a relative directory": { file: { path: "backups" } },
    "a directory that climbs": { file: { path: "/backups/../etc" } },
    "a directory that ends in two dots": { file: { path: "/backups/.." } },
    "a directory with an empty segment": { file: { path: "/backups//etcd" } },
    "a directory with a line break": { file: { path: "/back\nups" } },
  }),
];

const fixed = "cannot be changed: create another EtcdBackup (only deletionPolicy can be changed)";
const moved =
  "cannot be changed, since the operator would no longer find the backups stored there: create another EtcdBackupStore";

export const refusedChanges: (Change & { field: string; message: string })[] = [
  ...refusals("EtcdBackup", fixed, [
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
  ]),
  ...refusals("EtcdBackupStore", moved, [
    ["the bucket", "spec.s3.bucket", withS3({}), withS3({ bucket: "other" })],
    ["the prefix", "spec.s3.prefix", withS3({ prefix: "a" }), withS3({ prefix: "b" })],
    ["a prefix added", "spec.s3.prefix", withS3({}), withS3({ prefix: "b" })],
    ["the prefix removed", "spec.s3.prefix", withS3({ prefix: "a" }), withS3({})],
    ["the directory", "spec.file.path", { file: { path: "/a" } }, { file: { path: "/b" } }],
  ]),
  ...refusals("EtcdBackupStore", "cannot be changed from s3 to file or back", [
    ["a bucket into a directory", "spec", withS3({}), { file: { path: "/a" } }],
    ["a directory into a bucket", "spec", { file: { path: "/a" } }, withS3({})],
  ]),
];

function refusals(kind: Kind, message: string, rows: [name: string, field: string, from: Spec, to: Spec][]) {
  return rows.map(([name, field, from, to]) => ({ name, kind, from, to, field, message }));
}

export const acceptedChanges: Change[] = [
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
  {
    name: "how to get to the bucket",
    kind: "EtcdBackupStore",
    from: withS3({ prefix: "a", region: "eu-1" }),
    to: withS3({
      prefix: "a",
      endpoint: "https://new:9000",
      forcePathStyle: true,
      credentialsSecretRef: { name: "new" },
      caBundleSecretRef: { name: "new" },
    }),
  },
  {
    name: "a store to ReadOnly",
    kind: "EtcdBackupStore",
    from: withS3({}),
    to: { ...withS3({}), accessMode: "ReadOnly" },
  },
];
