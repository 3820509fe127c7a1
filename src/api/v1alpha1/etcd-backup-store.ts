import { exactlyOneOf } from "../schema/cel-rules.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { storeConditions, storeReasons } from "./conditions.ts";
import { fileLocationSchema, s3LocationSchema } from "./etcd-backup-store-location.ts";
import { etcdBackupStoreStatusSchema } from "./etcd-backup-store-status.ts";

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
    s3: s3LocationSchema,
    file: fileLocationSchema,
    accessMode: {
      type: "string",
      description: "ReadOnly: nothing is ever written or deleted there, as while recovering from it.",
      enum: ["ReadWrite", "ReadOnly"],
      default: "ReadWrite",
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
  status: etcdBackupStoreStatusSchema,
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
