import { absolutePath, immutable, matches } from "../schema/cel-rules.ts";
import { secretReference } from "../schema/name-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

/** A field that says where the backups are stored. */
const fixedLocation = (name: string) =>
  immutable(
    name,
    "cannot be changed, since the operator would no longer find the backups stored there: create another EtcdBackupStore",
  );

const serverSideEncryption = {
  type: "object",
  description:
    "Server-side encryption that every upload asks for. Without it the bucket's default encryption applies.",
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
      description: "AES256 encrypts with keys that the store manages (SSE-S3), KMS with a KMS key (SSE-KMS).",
      enum: ["AES256", "KMS"],
    },
    kmsKeyID: {
      type: "string",
      description: "ID or ARN of the KMS key. Without it the account's default key is used.",
      minLength: 1,
      maxLength: 2048,
    },
  },
} as const satisfies ObjectSchema;

/** `spec.s3` of an EtcdBackupStore. */
const s3LocationSchema = {
  type: "object",
  description: "A bucket of Amazon S3 or of an S3-compatible store.",
  required: ["bucket"],
  "x-kubernetes-validations": [fixedLocation("bucket"), fixedLocation("prefix")],
  properties: {
    bucket: {
      type: "string",
      description: "Name of the bucket, which has to exist. This field cannot be changed.",
      minLength: 3,
      maxLength: 63,
      "x-kubernetes-validations": [
        matches(
          "^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
          "must be lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit; write a folder of the bucket into prefix",
        ),
      ],
    },
    prefix: {
      type: "string",
      description:
        "Folder of the bucket that holds all objects, such as backups/etcd. Without it they lie at the bucket's root. This field cannot be changed.",
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
      description:
        "Region of the bucket, such as eu-central-1. Without it the operator takes AWS_REGION or AWS_DEFAULT_REGION from its environment, then its AWS configuration, if --ambient-credentials-namespaces names this namespace, then us-east-1.",
      minLength: 1,
      maxLength: 63,
      "x-kubernetes-validations": [
        matches("^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be the name of a region, such as eu-central-1"),
      ],
    },
    endpoint: {
      type: "string",
      description:
        "URL of an S3-compatible store, such as https://minio.example.com:9000. Without it requests go to Amazon S3 in the region, or to AWS_ENDPOINT_URL of the operator's environment if --ambient-credentials-namespaces names this namespace.",
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
        "Whether requests name the bucket in the path instead of the host name. MinIO and most other S3-compatible stores need true.",
      default: false,
    },
    caBundleSecretRef: secretReference(
      "Secret whose key ca.crt holds PEM certificates of authorities to trust for the endpoint, in addition to those of the operator's image.",
    ),
    credentialsSecretRef: secretReference(
      "Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for temporary credentials. Without it the operator uses the credentials of its environment, such as workload identity, if --ambient-credentials-namespaces names this namespace; it sends them to another endpoint than Amazon S3 only if --ambient-credentials-endpoints names that endpoint.",
    ),
    serverSideEncryption,
    storageClass: {
      type: "string",
      description:
        "Storage class of the data objects, such as STANDARD_IA. Objects in an archive class have to be retrieved from the archive before a restore. Without it the bucket's default class applies.",
      minLength: 1,
      maxLength: 64,
      "x-kubernetes-validations": [
        matches("^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be the name of a storage class, such as STANDARD_IA"),
      ],
    },
    checksum: {
      type: "string",
      description:
        "Digest of uploads. Change it only for an S3-compatible store that fails with Auto. Auto: CRC-32C, and Content-MD5 where the store refuses or ignores it. CRC32C: only CRC-32C; a store that does not report it is refused. MD5: only Content-MD5, and no header of S3's newer checksums. None: no digest; every object is read back after it was stored.",
      enum: ["Auto", "CRC32C", "MD5", "None"],
      default: "Auto",
    },
    versions: {
      type: "string",
      description:
        "What a deletion does in a bucket with versioning. Keep: it hides the object, whose versions stay until a lifecycle rule or a person removes them. Remove: it removes all versions and delete markers of the object, which needs the permissions s3:ListBucketVersions and s3:DeleteObjectVersion. A version under object lock stays, and blocks the deletion.",
      enum: ["Keep", "Remove"],
      default: "Keep",
    },
  },
} as const satisfies ObjectSchema;

/** `spec.file` of an EtcdBackupStore. */
const fileLocationSchema = {
  type: "object",
  description:
    "A directory in the operator's file system, such as a mounted NFS share. Every replica of the operator has to mount the same one.",
  required: ["path"],
  "x-kubernetes-validations": [fixedLocation("path")],
  properties: {
    path: {
      type: "string",
      description: "Absolute path of the directory, which has to exist. This field cannot be changed.",
      maxLength: 512,
      "x-kubernetes-validations": [absolutePath],
    },
  },
} as const satisfies ObjectSchema;

/** The kinds of store: each is a field of `spec`, and an EtcdBackupStore has exactly one of them. */
export const storeLocations = {
  s3: s3LocationSchema,
  file: fileLocationSchema,
} as const satisfies Record<string, ObjectSchema>;

export type StoreKindName = keyof typeof storeLocations;

export const storeKindNames = Object.keys(storeLocations) as StoreKindName[];
