import { conditionsSchema, storeConditions, storeReasons } from "./conditions.ts";
import { absolutePath } from "./etcd-connection.ts";
import { observedGeneration } from "../schema/status-fields.ts";
import { secretReference } from "../schema/name-schemas.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import { exactlyOneOf, immutable, matches } from "../schema/cel-rules.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const identity =
  "cannot be changed, since the backups there would be lost from sight: create another EtcdBackupStore";

const s3 = {
  type: "object",
  description: "A bucket on S3 or a store that speaks its protocol.",
  required: ["bucket"],
  "x-kubernetes-validations": [immutable("bucket", identity), immutable("prefix", identity)],
  properties: {
    bucket: {
      type: "string",
      description: "Name of the bucket. It has to exist. Cannot be changed.",
      minLength: 3,
      maxLength: 63,
      "x-kubernetes-validations": [
        matches(
          "^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
          "must be lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit; a folder in the bucket belongs into prefix",
        ),
      ],
    },
    prefix: {
      type: "string",
      description:
        "Folder in the bucket that everything lies under. Absent: the bucket's root. Cannot be changed.",
      minLength: 1,
      maxLength: 512,
      "x-kubernetes-validations": [
        {
          rule: "self.matches(r'^[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*$') && !self.contains('..') && !self.split('/').exists(part, part == '.')",
          message:
            "must be a path such as backups/etcd: letters, digits, '.', '_', '=', '-', no '/' at either end, no '..'",
        },
      ],
    },
    region: {
      type: "string",
      description: "Region of the bucket. Absent: what the operator's environment says, else us-east-1.",
      minLength: 1,
      maxLength: 63,
      "x-kubernetes-validations": [
        matches("^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be a region's name, such as eu-central-1"),
      ],
    },
    endpoint: {
      type: "string",
      description: "URL of a store that is not AWS. Absent: AWS, in the region.",
      maxLength: 512,
      "x-kubernetes-validations": [
        matches(
          "^https?://([a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:.]+\\])(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~-]+)*/?$",
          "must be an http or https URL without user, query and fragment, such as https://minio.example.com:9000",
        ),
      ],
    },
    forcePathStyle: {
      type: "boolean",
      description:
        "Name the bucket in the path, not in the host. MinIO and most others that are not AWS need it.",
      default: false,
    },
    caBundleSecretRef: secretReference(
      "Secret whose key ca.crt holds the authorities to trust for the endpoint, besides those of the operator's image.",
    ),
    credentialsSecretRef: secretReference(
      "Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN where there is one. Absent: what the operator's environment gives, such as workload identity.",
    ),
    serverSideEncryption: {
      type: "object",
      description: "Encryption that is asked for with every object. Absent: as the bucket is set up.",
      required: ["mode"],
      "x-kubernetes-validations": [
        {
          rule: "!has(self.kmsKeyID) || self.mode == 'KMS'",
          message: "kmsKeyID needs mode KMS: set mode to KMS, or remove kmsKeyID",
          fieldPath: ".kmsKeyID",
        },
      ],
      properties: {
        mode: {
          type: "string",
          description: "AES256 with keys of the store, or KMS.",
          enum: ["AES256", "KMS"],
        },
        kmsKeyID: {
          type: "string",
          description: "ID or ARN of the KMS key. Absent: the account's default key.",
          minLength: 1,
          maxLength: 2048,
        },
      },
    },
    storageClass: {
      type: "string",
      description:
        "Storage class of the data objects, such as STANDARD_IA. Archive classes have to be thawed before a restore. Absent: the bucket's default.",
      minLength: 1,
      maxLength: 64,
      "x-kubernetes-validations": [
        matches("^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be a storage class, such as STANDARD_IA"),
      ],
    },
  },
} as const satisfies ObjectSchema;

const file = {
  type: "object",
  description:
    "A directory where the operator runs, such as a mounted NFS share. Every replica has to see the same one.",
  required: ["path"],
  "x-kubernetes-validations": [immutable("path", identity)],
  properties: {
    path: {
      type: "string",
      description: "Absolute path of the directory. It has to exist. Cannot be changed.",
      maxLength: 512,
      "x-kubernetes-validations": [absolutePath],
    },
  },
} as const satisfies ObjectSchema;

const spec = {
  type: "object",
  description: "Where the backups live. What identifies the place cannot be changed; how to get there can.",
  "x-kubernetes-validations": [
    exactlyOneOf("s3", "file"),
    {
      rule: "has(self.s3) == has(oldSelf.s3)",
      message:
        "the kind of store cannot be changed, since its backups would be lost from sight: create another EtcdBackupStore",
      reason: "FieldValueForbidden",
    },
  ],
  properties: {
    s3,
    file,
    accessMode: {
      type: "string",
      description: "ReadOnly: nothing is ever written or deleted there, as while recovering from it.",
      enum: ["ReadWrite", "ReadOnly"],
      default: "ReadWrite",
    },
  },
} as const satisfies ObjectSchema;

const status = {
  type: "object",
  description: "What the operator has seen. It alone writes here.",
  default: { observedGeneration: -1 },
  required: ["observedGeneration"],
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    url: {
      type: "string",
      description: "Where it is, as the command line writes it: s3://bucket/prefix or file:///path.",
    },
    lastProbeTime: { type: "string", format: "date-time", description: "When the store was last tried." },
    capabilities: {
      type: "object",
      description: "What the store can do, as found by the last probe that succeeded.",
      required: ["conditionalWrites", "checksums", "objectLock"],
      properties: {
        conditionalWrites: { type: "boolean", description: "It refuses to overwrite, by If-None-Match." },
        checksums: { type: "boolean", description: "It computes the CRC-32C of a whole object itself." },
        objectLock: {
          type: "boolean",
          description: "The bucket keeps objects from being deleted for a time.",
        },
      },
    },
    backups: {
      type: "integer",
      format: "int32",
      minimum: 0,
      description: "How many backups it holds, of all clusters.",
    },
    latestBackup: {
      type: "object",
      description: "The newest backup, of any cluster.",
      required: ["name", "clusterName", "revision", "completionTime"],
      properties: {
        name: { type: "string", description: "Its name in the store." },
        clusterName: { type: "string", description: "Its cluster's name in the store." },
        revision: {
          type: "integer",
          format: "int64",
          minimum: 0,
          description: "Revision of its newest key.",
        },
        completionTime: { type: "string", format: "date-time", description: "When it was completed." },
      },
    },
  },
} as const satisfies ObjectSchema;

export const etcdBackupStoreDefinition = defineResource({
  kind: "EtcdBackupStore",
  plural: "etcdbackupstores",
  singular: "etcdbackupstore",
  shortNames: ["ebstore"],
  description:
    "EtcdBackupStore is a place where backups live: an S3 bucket or a mounted directory. It is the truth about them: objects in the API server can be made again from it.",
  spec,
  status,
  selectableFields: [],
  columns: [
    {
      name: "Ready",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: "Whether the store can be used.",
    },
    {
      name: "Reason",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
      description: "Why, or why not.",
    },
    { name: "Location", type: "string", jsonPath: ".status.url", description: "Where it is." },
    {
      name: "Backups",
      type: "integer",
      jsonPath: ".status.backups",
      description: "How many backups it holds.",
    },
    {
      name: "Latest",
      type: "date",
      jsonPath: ".status.latestBackup.completionTime",
      description: "Time since the newest backup.",
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since creation.",
    },
  ],
  conditions: storeConditions,
  reasons: storeReasons,
});

export type EtcdBackupStore = Resource<typeof etcdBackupStoreDefinition>;
export type EtcdBackupStoreSpec = EtcdBackupStore["spec"];
export type EtcdBackupStoreStatus = EtcdBackupStore["status"];
