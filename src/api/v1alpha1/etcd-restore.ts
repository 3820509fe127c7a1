import { restoreConditions, restoreReasons } from "./conditions.ts";
import { etcdRestoreStatusSchema } from "./etcd-restore-status.ts";
import { clusterName, reference, secretReference } from "../schema/name-schemas.ts";
import { defineResource, type Resource } from "../schema/resource.ts";
import { exactlyOneOf, immutable, matches } from "../schema/cel-rules.ts";
import type {
  ArraySchema,
  MapSchema,
  ObjectSchema,
  OpaqueSchema,
  Schema,
  StringSchema,
} from "../schema/schema.ts";

const quantityPattern = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";

function quantity<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    minLength: 1,
    maxLength: 32,
    "x-kubernetes-validations": [matches(quantityPattern, "must be a quantity, such as 8Gi or 500m")],
  } as const satisfies StringSchema;
}

function opaque<const D extends string>(description: D) {
  return {
    type: "object",
    description,
    "x-kubernetes-preserve-unknown-fields": true,
  } as const satisfies OpaqueSchema;
}

function listOf<const D extends string>(description: D, item: string, maxItems: number) {
  return { type: "array", description, maxItems, items: opaque(item) } as const satisfies ArraySchema;
}

function strings<const D extends string>(description: D, value: string) {
  return {
    type: "object",
    description,
    maxProperties: 50,
    additionalProperties: { type: "string", description: value, maxLength: 4096 },
  } as const satisfies MapSchema;
}

const amounts = (description: string) =>
  ({
    type: "object",
    description,
    maxProperties: 10,
    additionalProperties: quantity("Such as 500m or 1Gi."),
  }) as const satisfies MapSchema;

const source = {
  type: "object",
  description: "Which backup to restore.",
  "x-kubernetes-validations": [exactlyOneOf("backupRef", "store")],
  properties: {
    backupRef: reference(
      "An EtcdBackup that has succeeded.",
      "Name of the EtcdBackup, in the same namespace.",
    ),
    store: {
      type: "object",
      description: "A backup straight from a store: no EtcdBackup has to be in the API server.",
      required: ["storeRef", "clusterName"],
      properties: {
        storeRef: reference(
          "The EtcdBackupStore to read from. ReadOnly will do.",
          "Name of the EtcdBackupStore, in the same namespace.",
        ),
        clusterName: clusterName("Name of the cluster in the store whose backup it is."),
        backup: {
          type: "string",
          description:
            "The backup's name, as `etcd-backup list` shows it, or latest: the newest without a problem when the restore begins.",
          default: "latest",
          maxLength: 128,
          "x-kubernetes-validations": [
            matches(
              "^(latest|[0-9]{8}T[0-9]{6}Z-r[0-9]{20}-[a-z0-9]{4,40})$",
              "must be latest, or a backup's name as `etcd-backup list` shows it",
            ),
          ],
        },
      },
    },
  },
} as const satisfies ObjectSchema;

const podTemplate = {
  type: "object",
  description:
    "Where and how the members' Pods run. Their Jobs run in the same way, so that volumes are made where the members will be.",
  properties: {
    labels: strings("Labels added to the Pods.", "The label's value."),
    annotations: strings("Annotations added to the Pods.", "The annotation's value."),
    nodeSelector: strings("Labels that the node must have.", "The label's value."),
    affinity: opaque("As in a Pod. Absent: members prefer nodes of their own."),
    tolerations: listOf("As in a Pod.", "A toleration.", 50),
    topologySpreadConstraints: listOf("As in a Pod.", "A constraint.", 10),
    priorityClassName: { type: "string", description: "As in a Pod.", maxLength: 253 },
    serviceAccountName: {
      type: "string",
      description:
        "As in a Pod. Its rights are also those that the Jobs read the store with, where the store has no credentials.",
      maxLength: 253,
    },
    imagePullSecrets: listOf("As in a Pod.", "A reference by name.", 10),
    securityContext: opaque("Of the Pods. Absent: user 65532, with the volumes in its group."),
  },
} as const satisfies ObjectSchema;

const cluster = {
  type: "object",
  description: "The cluster to make. Its name must be free: nothing that exists is ever changed.",
  required: ["name", "image", "storage"],
  properties: {
    name: {
      type: "string",
      description: "Name of the StatefulSet, and the beginning of every other object's name.",
      minLength: 1,
      maxLength: 40,
      "x-kubernetes-validations": [
        matches(
          "^[a-z]([-a-z0-9]*[a-z0-9])?$",
          "must be a DNS label: lower-case letters, digits and '-', beginning with a letter and ending with a letter or digit",
        ),
      ],
    },
    replicas: {
      type: "integer",
      format: "int32",
      description:
        "How many members: an odd number, since an even one tolerates no more failures and has more of them.",
      minimum: 1,
      maximum: 7,
      default: 3,
      "x-kubernetes-validations": [{ rule: "self % 2 == 1", message: "must be odd: 1, 3, 5 or 7" }],
    },
    image: {
      type: "string",
      description:
        "Image of etcd, with etcd and etcdutl (3.4: etcdctl) in its PATH. Its tag tells the version, which must not be of an earlier minor than the backup's.",
      minLength: 1,
      maxLength: 512,
      "x-kubernetes-validations": [
        matches("^[^\\s@]+(:[^\\s/@]+)?(@sha256:[0-9a-f]{64})?$", "must be the name of an image"),
      ],
    },
    etcdVersion: {
      type: "string",
      description: "Version of etcd in the image, such as 3.6.16, where its tag does not say.",
      maxLength: 32,
      "x-kubernetes-validations": [matches("^3\\.[0-9]+\\.[0-9]+$", "must be a version, such as 3.6.16")],
    },
    imagePullPolicy: {
      type: "string",
      description: "As in a container.",
      enum: ["IfNotPresent", "Always", "Never"],
      default: "IfNotPresent",
    },
    storage: {
      type: "object",
      description: "A volume for each member.",
      required: ["size"],
      properties: {
        size: quantity("Size of each volume: at least twice the database, for the restore itself."),
        storageClassName: {
          type: "string",
          description: "Absent: the cluster's default.",
          maxLength: 253,
        },
      },
    },
    resources: {
      type: "object",
      description: "Of the etcd containers.",
      properties: { requests: amounts("What is set aside."), limits: amounts("What must not be exceeded.") },
    },
    extraArgs: {
      type: "array",
      description: "More flags for etcd, such as --quota-backend-bytes=8589934592.",
      maxItems: 50,
      items: {
        type: "string",
        description: "One flag with its value.",
        maxLength: 512,
        "x-kubernetes-validations": [
          matches("^--[a-z0-9][a-z0-9-]*(=.*)?$", "must be one flag, such as --max-txn-ops=256"),
        ],
      },
    },
    tls: {
      type: "object",
      description: "Certificates. Absent: plain http.",
      minProperties: 1,
      properties: {
        client: secretReference(
          "For clients: Secret with the keys tls.crt, tls.key and ca.crt. The certificate is good for NAME-client.NAMESPACE.svc and 127.0.0.1, and for client use, as etcd itself needs it.",
        ),
        peer: secretReference(
          "Between members: Secret with the keys tls.crt, tls.key and ca.crt. The certificate is good for *.NAME-peers.NAMESPACE.svc.",
        ),
      },
    },
    auth: {
      type: "object",
      description: "A user of the backup, where authentication was on: it stays on. Needed for the proof.",
      required: ["secretRef"],
      properties: {
        secretRef: secretReference(
          "Secret of type kubernetes.io/basic-auth: keys username and password, as they were when the backup was made. It needs the root role.",
        ),
      },
    },
    podTemplate,
  },
} as const satisfies ObjectSchema;

const properties = {
  source,
  target: {
    type: "object",
    description: "What to restore into: always a new cluster.",
    required: ["cluster"],
    properties: { cluster },
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
