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

const s3 = { bucket: "etcd-backups" };
const withS3 = (changes: Spec): Spec => ({ s3: { ...s3, ...changes } });

/** Together they set every field of the kind. */
export const acceptedStores: Acceptance[] = [
  { name: "a minimal bucket", kind: "EtcdBackupStore", spec: withS3({}) },
  {
    name: "a bucket with every setting",
    kind: "EtcdBackupStore",
    spec: {
      accessMode: "ReadOnly",
      catalog: { import: false, importLimit: 100, clusterNames: ["prod", "lab"] },
      verify: { schedule: "0 3 * * 0", timeZone: "Europe/Berlin", which: "Latest", maxRate: "50Mi" },
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
        checksum: "CRC32C",
        versions: "Remove",
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

const stores = (field: string, message: string, specs: Record<string, Spec>): Refusal[] =>
  refusals("EtcdBackupStore", field, message, specs);

export const refusedStores: Refusal[] = [
  ...stores("spec.verify.schedule", "must have five fields", {
    "verifications by a schedule of words": { ...withS3({}), verify: { schedule: "every day" } },
  }),
  ...stores("spec.verify.schedule", "Required value", {
    "verifications without a schedule": { ...withS3({}), verify: {} },
  }),
  ...stores("spec.verify.which", "Unsupported value", {
    "verifications of all backups": { ...withS3({}), verify: { schedule: "@daily", which: "All" } },
  }),
  ...stores("spec.verify.maxRate", "must be bytes per second", {
    "verifications at a decimal rate": { ...withS3({}), verify: { schedule: "@daily", maxRate: "1.5M" } },
  }),
  ...stores("spec.catalog.clusterNames[]", "must be lower-case letters, digits, '-' or single '.'", {
    "a cluster name with two dots to import": { ...withS3({}), catalog: { clusterNames: ["a..b"] } },
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
    "a prefix with ..": withS3({ prefix: "a/../b" }),
    "a prefix with .": withS3({ prefix: "./a" }),
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
  ...stores("spec.s3.caBundleSecretRef.name", objectName, {
    "a path for a Secret": withS3({ caBundleSecretRef: { name: "/ca.crt" } }),
  }),
  ...stores("spec.s3.credentialsSecretRef.name", objectName, {
    "a Secret name that ends in a hyphen": withS3({ credentialsSecretRef: { name: "minio-" } }),
  }),
  ...stores("spec.s3.serverSideEncryption.kmsKeyID", "kmsKeyID needs mode KMS", {
    "a KMS key without KMS": withS3({ serverSideEncryption: { mode: "AES256", kmsKeyID: "alias/etcd" } }),
  }),
  ...stores("spec.s3.storageClass", "must be the name of a storage class", {
    "a storage class with a space": withS3({ storageClass: "STANDARD IA" }),
  }),
  ...stores("spec.file.path", absolutePath, {
    "a relative directory": { file: { path: "backups" } },
    "a directory path with ..": { file: { path: "/backups/../etc" } },
    "a directory that ends in two dots": { file: { path: "/backups/.." } },
    "a directory with an empty segment": { file: { path: "/backups//etcd" } },
    "a directory with a line break": { file: { path: "/back\nups" } },
  }),
];

const moved =
  "cannot be changed, since the operator would no longer find the backups stored there: create another EtcdBackupStore";

export const refusedStoreChanges: RefusedChange[] = [
  ...refusedChanges("EtcdBackupStore", moved, [
    ["the bucket", "spec.s3.bucket", withS3({}), withS3({ bucket: "other" })],
    ["the prefix", "spec.s3.prefix", withS3({ prefix: "a" }), withS3({ prefix: "b" })],
    ["a prefix added", "spec.s3.prefix", withS3({}), withS3({ prefix: "b" })],
    ["the prefix removed", "spec.s3.prefix", withS3({ prefix: "a" }), withS3({})],
    ["the directory", "spec.file.path", { file: { path: "/a" } }, { file: { path: "/b" } }],
  ]),
  ...refusedChanges("EtcdBackupStore", "cannot be changed from s3 to file or back", [
    ["a bucket into a directory", "spec", withS3({}), { file: { path: "/a" } }],
    ["a directory into a bucket", "spec", { file: { path: "/a" } }, withS3({})],
  ]),
];

export const acceptedStoreChanges: Change[] = [
  {
    name: "endpoint, credentials and CA bundle of the bucket",
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
