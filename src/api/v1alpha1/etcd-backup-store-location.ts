import { absolutePath, immutable, matches } from "../schema/cel-rules.ts";
import { secretReference } from "../schema/name-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

const identity =
  "cannot be changed, since the backups there would be lost from sight: create another EtcdBackupStore";

/** `spec.s3` of an EtcdBackupStore. */
export const s3LocationSchema = {
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

/** `spec.file` of an EtcdBackupStore. */
export const fileLocationSchema = {
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
