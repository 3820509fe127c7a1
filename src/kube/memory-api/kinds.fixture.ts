import type { MapSchema, ObjectSchema, Schema } from "../../api/schema/schema.ts";
import { kinds } from "../../api/v1alpha1/kinds.ts";
import { events } from "../events/writer.ts";
import { leases } from "../leader/lease.ts";
import { configMaps, customResource, type KubeObject, type ResourceKind, secrets } from "../objects.ts";
import { workload } from "../workloads.ts";

/** A kind that the server knows. */
export interface ServedKind {
  readonly kind: ResourceKind<KubeObject>;
  /** The status is written by requests of its own, and by no other. */
  readonly hasStatus: boolean;
  /** Fields are checked, pruned and given defaults. Built-in kinds are stored as they come. */
  readonly isChecked: boolean;
  /** Of the object without its status. Of a built-in kind only the metadata is described. */
  readonly mainSchema: ObjectSchema;
  /** Of an object with nothing but a status. */
  readonly statusSchema: ObjectSchema;
}

const description = "";
const strings: MapSchema = {
  type: "object",
  description,
  additionalProperties: { type: "string", description },
};
const metadata: ObjectSchema = {
  type: "object",
  description,
  properties: {
    labels: strings,
    annotations: strings,
    finalizers: {
      type: "array",
      description,
      "x-kubernetes-list-type": "set",
      items: { type: "string", description },
    },
    ownerReferences: {
      type: "array",
      description,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["uid"],
      items: { type: "object", description, "x-kubernetes-preserve-unknown-fields": true },
    },
  },
};

function objectWith(properties: Record<string, Schema>, required: string[] = []): ObjectSchema {
  return { type: "object", description, properties, required };
}

const pods: ResourceKind<KubeObject> = {
  group: "",
  version: "v1",
  plural: "pods",
  kind: "Pod",
  namespaced: true,
};

const endpointSlices: ResourceKind<KubeObject> = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  namespaced: true,
};

const withStatus = [
  pods,
  workload("PersistentVolumeClaim"),
  workload("Service"),
  workload("Job"),
  workload("StatefulSet"),
  workload("PodDisruptionBudget"),
];

const withoutStatus: ResourceKind<KubeObject>[] = [configMaps, secrets, leases, events, endpointSlices];

const builtIn = (hasStatus: boolean) => (kind: ResourceKind<KubeObject>) => ({
  kind,
  hasStatus,
  isChecked: false,
  mainSchema: objectWith({ metadata }),
  statusSchema: objectWith({}),
});

export const servedKinds: readonly ServedKind[] = [
  ...kinds.map((definition) => ({
    kind: customResource(definition),
    hasStatus: true,
    isChecked: true,
    mainSchema: objectWith({ metadata, spec: definition.spec }, ["spec"]),
    statusSchema: objectWith({ status: definition.status }),
  })),
  ...withStatus.map(builtIn(true)),
  ...withoutStatus.map(builtIn(false)),
];
