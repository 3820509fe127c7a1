import { opaqueList, opaqueObject, stringMap } from "../schema/pod-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

/** `spec.target.cluster.podTemplate` of an EtcdRestore. */
export const podTemplateSchema = {
  type: "object",
  description:
    "Where and how the members' Pods run. Their Jobs run in the same way, so that volumes are made where the members will be.",
  properties: {
    labels: stringMap("Labels added to the Pods.", "The label's value."),
    annotations: stringMap("Annotations added to the Pods.", "The annotation's value."),
    nodeSelector: stringMap("Labels that the node must have.", "The label's value."),
    affinity: opaqueObject("As in a Pod. Absent: members prefer nodes of their own."),
    tolerations: opaqueList("As in a Pod.", "A toleration.", 50),
    topologySpreadConstraints: opaqueList("As in a Pod.", "A constraint.", 10),
    priorityClassName: { type: "string", description: "As in a Pod.", maxLength: 253 },
    serviceAccountName: {
      type: "string",
      description:
        "As in a Pod. Its rights are also those that the Jobs read the store with, where the store has no credentials.",
      maxLength: 253,
    },
    imagePullSecrets: opaqueList("As in a Pod.", "A reference by name.", 10),
    securityContext: opaqueObject("Of the Pods. Absent: user 65532, with the volumes in its group."),
  },
} as const satisfies ObjectSchema;
