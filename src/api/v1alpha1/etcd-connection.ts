import { objectName, secretReference } from "../schema/name-schemas.ts";
import { absolutePath, exactlyOneOf, matches } from "../schema/cel-rules.ts";
import type { IntegerSchema, ObjectSchema, StringSchema } from "../schema/schema.ts";

const host = "([a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:.]+\\])";
const portNumber = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";

const port = {
  type: "integer",
  format: "int32",
  description: "Client port.",
  minimum: 1,
  maximum: 65535,
  default: 2379,
} as const satisfies IntegerSchema;

const scheme = {
  type: "string",
  description: "How the members speak on their client port.",
  enum: ["https", "http"],
  default: "https",
} as const satisfies StringSchema;

function mountedFile<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    maxLength: 512,
    "x-kubernetes-validations": [absolutePath],
  } as const satisfies StringSchema;
}

const clientTls = {
  type: "object",
  description:
    "Certificates for https. Absent: no client certificate, and the members' certificates must be signed by an authority that the operator's image trusts.",
  "x-kubernetes-validations": [exactlyOneOf("secretRef", "files")],
  properties: {
    secretRef: secretReference(
      "Secret with the keys ca.crt (the authority that signed the members' certificates), tls.crt and tls.key (the client certificate). A change is picked up by the next run.",
    ),
    files: {
      type: "object",
      description:
        "Files where the operator runs, such as those that the kubeadm preset of the chart mounts.",
      minProperties: 1,
      "x-kubernetes-validations": [
        { rule: "has(self.cert) == has(self.key)", message: "set cert and key together, or neither" },
      ],
      properties: {
        ca: mountedFile("PEM file of the authority that signed the members' certificates."),
        cert: mountedFile("PEM file of the client certificate."),
        key: mountedFile("PEM file of the client certificate's key."),
      },
    },
    serverName: {
      type: "string",
      description:
        "The name that the members' certificates must hold. Absent: the host of the endpoint, or NAME.NAMESPACE.svc with a Service.",
      minLength: 1,
      maxLength: 253,
      "x-kubernetes-validations": [
        matches("^[a-zA-Z0-9]([a-zA-Z0-9.:-]*[a-zA-Z0-9])?$", "must be a DNS name or an IP address"),
      ],
    },
  },
} as const satisfies ObjectSchema;

const memberSelection = {
  type: "object",
  description:
    "Which member the snapshot is read from. It is always exactly one, healthy, voting and up to date.",
  default: {},
  properties: {
    prefer: {
      type: "string",
      description:
        "Follower spares the leader where it can. Leader and Any are preferences too, never a reason to take an unfit member.",
      enum: ["Follower", "Leader", "Any"],
      default: "Follower",
    },
    name: {
      type: "string",
      description: "Only this member, by its name or its ID in hex; when it is unfit, the backup fails.",
      minLength: 1,
      maxLength: 253,
    },
    maxLag: {
      type: "integer",
      format: "int64",
      description: "How many raft entries a member may be behind the leader.",
      minimum: 0,
      maximum: 1_000_000_000,
      default: 1000,
    },
    allowWithoutQuorum: {
      type: "boolean",
      description:
        "Take a snapshot even from a cluster that has lost its quorum. It may lack the last writes, and says so.",
      default: false,
    },
  },
} as const satisfies ObjectSchema;

/** `spec.etcd`: how to reach the cluster and whom to ask. */
export const etcdConnectionSchema = {
  type: "object",
  description: "The etcd cluster: where it is, how to speak to it, and which member to read from.",
  "x-kubernetes-validations": [
    exactlyOneOf("endpoints", "service", "podSelector"),
    {
      rule: "!has(self.tls) || !has(self.endpoints) || self.endpoints.all(endpoint, endpoint.startsWith('https://'))",
      message: "tls needs https: use https:// endpoints, or remove tls",
      fieldPath: ".tls",
    },
    {
      rule: "!has(self.tls) || !has(self.service) || self.service.scheme == 'https'",
      message: "tls needs https: set service.scheme to https, or remove tls",
      fieldPath: ".tls",
    },
    {
      rule: "!has(self.tls) || !has(self.podSelector) || self.podSelector.scheme == 'https'",
      message: "tls needs https: set podSelector.scheme to https, or remove tls",
      fieldPath: ".tls",
    },
  ],
  properties: {
    endpoints: {
      type: "array",
      description:
        "Client URLs. One is enough to find the others; more of them find the cluster while members are down.",
      minItems: 1,
      maxItems: 50,
      "x-kubernetes-list-type": "set",
      "x-kubernetes-validations": [
        {
          rule: "self.all(endpoint, endpoint.startsWith('https://') == self[0].startsWith('https://'))",
          message: "must all be https, or all http",
        },
      ],
      items: {
        type: "string",
        description: "One client URL.",
        maxLength: 300,
        "x-kubernetes-validations": [
          matches(
            `^https?://${host}:${portNumber}$`,
            "must be a client URL with scheme, host and port and nothing else, such as https://10.0.0.11:2379 or https://[fd00::11]:2379",
          ),
        ],
      },
    },
    service: {
      type: "object",
      description: "A Service in front of the members. Its ready endpoints are asked one by one.",
      required: ["name"],
      properties: {
        name: objectName("Name of the Service."),
        namespace: objectName("Its namespace. Absent: that of this object."),
        port,
        scheme,
      },
    },
    podSelector: {
      type: "object",
      description:
        "The pods that are the members, such as kubeadm's static pods (component: etcd, tier: control-plane in kube-system).",
      required: ["matchLabels"],
      properties: {
        namespace: objectName("Namespace of the pods. Absent: that of this object."),
        matchLabels: {
          type: "object",
          description: "Labels that the pods have.",
          minProperties: 1,
          maxProperties: 20,
          additionalProperties: { type: "string", description: "The label's value.", maxLength: 63 },
        },
        port,
        scheme,
      },
    },
    tls: clientTls,
    auth: {
      type: "object",
      description: "etcd's own user. It needs the root role: etcd gives snapshots to nobody else.",
      required: ["secretRef"],
      properties: {
        secretRef: secretReference("Secret of type kubernetes.io/basic-auth: keys username and password."),
      },
    },
    memberSelection,
  },
} as const satisfies ObjectSchema;
