import { opaqueList, opaqueObject, stringMap } from "../schema/pod-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

/** `spec.target.cluster.podTemplate` of an EtcdRestore. */
export const podTemplateSchema = {
  type: "object",
  description:
    "Settings of the members' Pods. They also apply to the Pods of the restore Jobs, so that a volume is created where its member will run.",
  properties: {
    labels: stringMap("Labels to add to the Pods.", "Value of the label."),
    annotations: stringMap("Annotations to add to the Pods.", "Value of the annotation."),
    nodeSelector: stringMap("Labels that a node has to have to run the Pods.", "Value of the label."),
    affinity: opaqueObject(
      "Affinity of the Pods, as in a Pod. Without it the scheduler prefers a different node for each member.",
    ),
    tolerations: opaqueList("Tolerations of the Pods, as in a Pod.", "A toleration.", 50),
    topologySpreadConstraints: opaqueList(
      "Topology spread constraints of the Pods, as in a Pod.",
      "A topology spread constraint.",
      10,
    ),
    priorityClassName: { type: "string", description: "Name of the Pods' PriorityClass.", maxLength: 253 },
    serviceAccountName: {
      type: "string",
      description:
        "Name of the Pods' ServiceAccount. The restore Jobs read the store with its cloud identity when the EtcdBackupStore has no credentials.",
      maxLength: 253,
    },
    imagePullSecrets: opaqueList("Secrets for pulling the images, as in a Pod.", "The name of a Secret.", 10),
    securityContext: opaqueObject(
      "Security context of the Pods, as in a Pod. Without it they run as user and group 65532, and the volumes belong to that group.",
    ),
  },
} as const satisfies ObjectSchema;
