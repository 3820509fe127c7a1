import { restoreEvents } from "./events.ts";
import { immutable } from "../schema/cel-rules.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import type { ObjectSchema, Schema } from "../schema/schema.ts";
import { restoreConditions, restoreReasons } from "./conditions.ts";
import { restoreClusterSchema } from "./etcd-restore-cluster.ts";
import { restoreSourceSchema } from "./etcd-restore-source.ts";
import { etcdRestoreStatusSchema } from "./etcd-restore-status.ts";

const properties = {
  source: restoreSourceSchema,
  target: {
    type: "object",
    description: "What to restore into.",
    required: ["cluster"],
    properties: { cluster: restoreClusterSchema },
  },
  revisionBump: {
    type: "integer",
    format: "int64",
    description:
      "By how much to raise the revision above the backup's. All earlier revisions are marked as compacted, so that clients that saw newer revisions list again instead of missing changes. It has to exceed the number of writes since the backup. With 0 revisions continue from the backup's, and none is marked. etcd 3.4 before 3.4.27 and 3.5 before 3.5.10 need 0.",
    minimum: 0,
    maximum: 1_000_000_000_000,
    default: 1_000_000_000,
  },
  timeoutSeconds: {
    type: "integer",
    format: "int32",
    description: "How long the restore may take in seconds, over all attempts.",
    minimum: 60,
    maximum: 86400,
    default: 3600,
  },
  backoffLimit: {
    type: "integer",
    format: "int32",
    description:
      "How often a failed verification of the backup, and a failed Job of a member, is repeated. A failure that another attempt cannot fix fails the restore at once.",
    minimum: 0,
    maximum: 10,
    default: 3,
  },
} as const satisfies Record<string, Schema>;

const spec = {
  type: "object",
  description: "What to restore, and into what. It cannot be changed after the object was created.",
  required: ["source", "target"],
  properties,
  "x-kubernetes-validations": Object.keys(properties).map((name) =>
    immutable(
      name,
      "cannot be changed: delete this EtcdRestore, which deletes no volume, and create another",
    ),
  ),
} as const satisfies ObjectSchema;

export const etcdRestoreDefinition = defineResource({
  kind: "EtcdRestore",
  plural: "etcdrestores",
  singular: "etcdrestore",
  shortNames: ["er"],
  description:
    "EtcdRestore restores one backup into a new etcd cluster. It runs once. Deleting it deletes only its Jobs: the StatefulSet, the volumes and all other objects of the new cluster remain.",
  spec,
  status: etcdRestoreStatusSchema,
  selectableFields: [".spec.target.cluster.name"],
  columns: [
    {
      name: "Target",
      type: "string",
      jsonPath: ".spec.target.cluster.name",
      description: "Name of the new cluster.",
    },
    {
      name: "Status",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Succeeded")].reason',
      description: "Reason of the Succeeded condition.",
    },
    {
      name: "Revision",
      type: "integer",
      jsonPath: ".status.source.revision",
      description: "etcd revision of the backup.",
    },
    { name: "Size", type: "string", jsonPath: ".status.source.size", description: "Size of the database." },
    {
      name: "Duration",
      type: "string",
      jsonPath: ".status.durations.total",
      description: "How long the restore took.",
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since the object was created.",
    },
    {
      name: "Backup",
      type: "string",
      jsonPath: ".status.source.name",
      description: "Name of the backup in the store.",
      priority: 1,
    },
    {
      name: "Members",
      type: "string",
      jsonPath: ".status.verification.members",
      description: "Names of the members that were verified.",
      priority: 1,
    },
    {
      name: "Message",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Succeeded")].message',
      description: "Message of the Succeeded condition.",
      priority: 1,
    },
  ],
  conditions: restoreConditions,
  reasons: restoreReasons,
  events: restoreEvents,
});

export type EtcdRestore = Resource<typeof etcdRestoreDefinition>;
export type EtcdRestoreStatus = EtcdRestore["status"];
