import { storeEvents } from "./events.ts";
import { exactlyOneOf, fixedChoice } from "../schema/cel-rules.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { storeConditions, storeReasons } from "./conditions.ts";
import { storeKindNames, storeLocations } from "./etcd-backup-store-location.ts";
import { etcdBackupStoreStatusSchema } from "./etcd-backup-store-status.ts";

const spec = {
  type: "object",
  description:
    "Where the backups are stored. The fields that identify the location cannot be changed. Those that say how to access it can.",
  "x-kubernetes-validations": [
    exactlyOneOf(...storeKindNames),
    fixedChoice(
      storeKindNames,
      "since the operator would no longer find the backups stored there: create another EtcdBackupStore",
    ),
  ],
  properties: {
    ...storeLocations,
    accessMode: {
      type: "string",
      description:
        "What the operator may do with the store. ReadOnly forbids every write and deletion, for instance while a cluster is being recovered from it.",
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
    "EtcdBackupStore is a location that holds backups: an S3 bucket or a mounted directory. The store is the source of truth for its backups: they can be listed, verified and restored without the objects in the API server.",
  spec,
  status: etcdBackupStoreStatusSchema,
  selectableFields: [],
  columns: [
    {
      name: "Ready",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: "Status of the Ready condition.",
    },
    {
      name: "Reason",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
      description: "Reason of the Ready condition.",
    },
    { name: "Location", type: "string", jsonPath: ".status.url", description: "URL of the store." },
    {
      name: "Backups",
      type: "integer",
      jsonPath: ".status.backups",
      description: "Number of backups in the store.",
    },
    {
      name: "Latest",
      type: "date",
      jsonPath: ".status.latestBackup.completionTime",
      description: "Time since the newest backup was completed.",
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since the object was created.",
    },
  ],
  conditions: storeConditions,
  reasons: storeReasons,
  events: storeEvents,
});

export type EtcdBackupStore = Resource<typeof etcdBackupStoreDefinition>;
export type EtcdBackupStoreStatus = EtcdBackupStore["status"];
