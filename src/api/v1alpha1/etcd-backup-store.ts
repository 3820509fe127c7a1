import { storeEvents } from "./events.ts";
import { exactlyOneOf, fixedChoice } from "../schema/cel-rules.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import { clusterName } from "../schema/name-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { byteRateField, cronSchedule, timeZone } from "../schema/time-schemas.ts";
import { storeConditions, storeReasons } from "./conditions.ts";
import { storeKindNames, storeLocations } from "./etcd-backup-store-location.ts";
import { etcdBackupStoreStatusSchema } from "./etcd-backup-store-status.ts";

const catalog = {
  type: "object",
  description:
    "Which backups in the store appear as EtcdBackups in the namespace of this object, although no EtcdBackup here made them. Each is an EtcdBackup with spec.imported and the label etcdbackup.dev/imported=true. Deleting it deletes nothing in the store, and it does not appear again. A change of importLimit or clusterNames, or a new value of the annotation etcdbackup.dev/import, imports again what was deleted.",
  default: {},
  properties: {
    import: {
      type: "boolean",
      description:
        "Whether the operator makes EtcdBackups for the backups that it finds. Those that it made stay with false. In either case it deletes such an EtcdBackup when two complete listings of the store in a row do not show the backup.",
      default: true,
    },
    importLimit: {
      type: "integer",
      format: "int32",
      description:
        "The most EtcdBackups that it makes for one cluster: those of the newest backups. It deletes the ones beyond. In all it makes at most 10,000 for one store.",
      minimum: 0,
      maximum: 1000,
      default: 30,
    },
    clusterNames: {
      type: "array",
      description: "The clusters whose backups are imported, by their names in the store. Absent: all.",
      minItems: 1,
      maxItems: 1000,
      items: clusterName("Name of an etcd cluster in the store."),
      "x-kubernetes-list-type": "set",
    },
  },
} as const satisfies ObjectSchema;

const verify = {
  type: "object",
  description:
    "Reads stored backups back at the times of a schedule, and compares every byte with the manifest. A backup that does not verify is left in place; `latest` passes it over, and retention neither counts nor removes it. Each time, one backup of each cluster is verified, and once more up to three of those that failed before. Absent: nothing is verified again after it was stored.",
  required: ["schedule"],
  properties: {
    schedule: cronSchedule(
      "Times in cron format, as those of an EtcdBackupSchedule. What one time has begun goes on until each cluster had its turn. Of several times that were missed, for instance because no operator ran, one is made up for.",
    ),
    timeZone: timeZone("IANA name of the time zone of the schedule, such as Europe/Berlin."),
    which: {
      type: "string",
      description:
        "Which backup of each cluster: the Latest that can be restored, or Rotating: the one whose last verification is the oldest, and those that were never verified first.",
      enum: ["Latest", "Rotating"],
      default: "Rotating",
    },
    maxRate: byteRateField(
      "The most bytes per second to read from the store: a whole number with the unit Ki, Mi, Gi or none, such as 50Mi. Without it there is no limit.",
    ),
  },
} as const satisfies ObjectSchema;

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
    catalog,
    verify,
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
      name: "Verified",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Verified")].status',
      description: "Status of the Verified condition.",
      priority: 1,
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
