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
    description: "What to restore into: always a new cluster.",
    required: ["cluster"],
    properties: { cluster: restoreClusterSchema },
  },
  revisionBump: {
    type: "integer",
    format: "int64",
    description:
      "How far revisions go on beyond the backup's, with everything before marked compacted: clients that saw newer revisions relist instead of going wrong silently. Has to exceed the writes since the backup. 0 for neither, as for etcd before 3.4.27 and 3.5.10.",
    minimum: 0,
    maximum: 1_000_000_000_000,
    default: 1_000_000_000,
  },
  timeoutSeconds: {
    type: "integer",
    format: "int32",
    description: "How long the restore may take in seconds, all attempts together.",
    minimum: 60,
    maximum: 86400,
    default: 3600,
  },
  backoffLimit: {
    type: "integer",
    format: "int32",
    description:
      "How many more Jobs a member may have after one that failed. What trying again cannot mend ends the restore at once.",
    minimum: 0,
    maximum: 10,
    default: 3,
  },
} as const satisfies Record<string, Schema>;

const spec = {
  type: "object",
  description: "What to restore, and where to. Fixed once created.",
  required: ["source", "target"],
  properties,
  "x-kubernetes-validations": Object.keys(properties).map((name) =>
    immutable(
      name,
      "cannot be changed: delete this EtcdRestore, which touches no volume, and create another",
    ),
  ),
} as const satisfies ObjectSchema;

export const etcdRestoreDefinition = defineResource({
  kind: "EtcdRestore",
  plural: "etcdrestores",
  singular: "etcdrestore",
  shortNames: ["er"],
  description:
    "EtcdRestore is one recovery of one backup into a new etcd cluster. It runs once. Once it has ended the operator owns nothing of the new cluster: deleting the EtcdRestore deletes no volume and no StatefulSet.",
  spec,
  status: etcdRestoreStatusSchema,
  selectableFields: [".spec.target.cluster.name"],
  columns: [
    {
      name: "Target",
      type: "string",
      jsonPath: ".spec.target.cluster.name",
      description: "The new cluster.",
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
      description: "Revision of the backup's newest key.",
    },
    { name: "Size", type: "string", jsonPath: ".status.source.size", description: "Size of the database." },
    {
      name: "Duration",
      type: "string",
      jsonPath: ".status.durations.total",
      description: "How long the recovery took.",
    },
    {
      name: "Age",
      type: "date",
      jsonPath: ".metadata.creationTimestamp",
      description: "Time since creation.",
    },
    {
      name: "Backup",
      type: "string",
      jsonPath: ".status.source.name",
      description: "The backup.",
      priority: 1,
    },
    {
      name: "Members",
      type: "string",
      jsonPath: ".status.verification.members",
      description: "Members whose data was proved equal.",
      priority: 1,
    },
    {
      name: "Message",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Succeeded")].message',
      description: "What is known.",
      priority: 1,
    },
  ],
  conditions: restoreConditions,
  reasons: restoreReasons,
});

export type EtcdRestore = Resource<typeof etcdRestoreDefinition>;
export type EtcdRestoreSpec = EtcdRestore["spec"];
export type EtcdRestoreStatus = EtcdRestore["status"];
