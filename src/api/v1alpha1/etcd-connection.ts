import { objectName, secretReference } from "../schema/name-schemas.ts";
import { absolutePath, exactlyOneOf, matches } from "../schema/cel-rules.ts";
import type { Infer, IntegerSchema, ObjectSchema, StringSchema } from "../schema/schema.ts";

const host = "([a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:.]+\\])";
const portNumber = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";

const port = {
  type: "integer",
  format: "int32",
  description: "Client port of the members.",
  minimum: 1,
  maximum: 65535,
  default: 2379,
} as const satisfies IntegerSchema;

const scheme = {
  type: "string",
  description: "Scheme of the members' client URLs.",
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
    "Certificates for https. Without them the operator presents no client certificate, and accepts only server certificates of authorities that its image trusts.",
  "x-kubernetes-validations": [exactlyOneOf("secretRef", "files")],
  properties: {
    secretRef: secretReference(
      "Secret with the keys ca.crt (the authority that signed the members' server certificates), tls.crt and tls.key (the client certificate and its key). A changed Secret takes effect with the next attempt.",
    ),
    files: {
      type: "object",
      description:
        "Certificate files in the operator's file system, such as those that the chart's kubeadm preset mounts.",
      minProperties: 1,
      "x-kubernetes-validations": [
        { rule: "has(self.cert) == has(self.key)", message: "set both cert and key, or neither" },
      ],
      properties: {
        ca: mountedFile(
          "Path of the PEM file of the authority that signed the members' server certificates.",
        ),
        cert: mountedFile("Path of the PEM file of the client certificate."),
        key: mountedFile("Path of the PEM file of the client certificate's key."),
      },
    },
    serverName: {
      type: "string",
      description:
        "DNS name or IP address that the members' server certificates have to contain. Without it that is the endpoint's host, or NAME.NAMESPACE.svc of the Service.",
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
    "How the operator chooses the one member to read the snapshot from. That member answers, votes, has a leader and no CORRUPT alarm; allowWithoutQuorum makes an exception for the leader.",
  default: {},
  properties: {
    prefer: {
      type: "string",
      description:
        "Which of the usable members to prefer. Follower keeps the load off the leader. Any takes the member with the smallest lag. A member that is not usable is never chosen.",
      enum: ["Follower", "Leader", "Any"],
      default: "Follower",
    },
    name: {
      type: "string",
      description:
        "Name or hexadecimal ID of the only member to read from. It takes precedence over prefer, maxLag and a difference in HashKV. The attempt fails when this member is not usable.",
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
        "Whether to take a snapshot of a cluster that has lost its quorum. The snapshot may lack the newest writes; status.snapshot.withoutQuorum then says so.",
      default: false,
    },
  },
} as const satisfies ObjectSchema;

/** `spec.etcd` of an EtcdBackup. */
export const etcdConnectionSchema = {
  type: "object",
  description:
    "The etcd cluster: the addresses of its members, certificates and user, and which member to read from.",
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
        "Client URLs of members. The operator finds the other members from one that answers; more URLs help while members are down.",
      minItems: 1,
      maxItems: 50,
      "x-kubernetes-list-type": "set",
      "x-kubernetes-validations": [
        {
          rule: "self.all(endpoint, endpoint.startsWith('https://') == self[0].startsWith('https://'))",
          message: "must all have the scheme https, or all http",
        },
      ],
      items: {
        type: "string",
        description: "One client URL.",
        maxLength: 300,
        "x-kubernetes-validations": [
          matches(
            `^https?://${host}:${portNumber}$`,
            "must be a client URL of scheme, host and port, such as https://10.0.0.11:2379 or https://[fd00::11]:2379",
          ),
        ],
      },
    },
    service: {
      type: "object",
      description:
        "A Service that selects the members. The operator connects to each of its ready endpoints.",
      required: ["name"],
      properties: {
        name: objectName("Name of the Service."),
        namespace: objectName(
          "Namespace of the Service. Without it that is the namespace of this object. Another one needs --cross-namespace-etcd-namespaces.",
        ),
        port,
        scheme,
      },
    },
    podSelector: {
      type: "object",
      description:
        "The Pods that run the members, such as kubeadm's static Pods (component: etcd, tier: control-plane in kube-system).",
      required: ["matchLabels"],
      properties: {
        namespace: objectName(
          "Namespace of the Pods. Without it that is the namespace of this object. Another one needs --cross-namespace-etcd-namespaces.",
        ),
        matchLabels: {
          type: "object",
          description: "Labels that the Pods have to have.",
          minProperties: 1,
          maxProperties: 20,
          additionalProperties: { type: "string", description: "Value of the label.", maxLength: 63 },
        },
        port,
        scheme,
      },
    },
    tls: clientTls,
    auth: {
      type: "object",
      description:
        "The etcd user to authenticate as, where etcd's authentication is enabled. It needs the root role, without which etcd refuses a snapshot.",
      required: ["secretRef"],
      properties: {
        secretRef: secretReference(
          "Secret of the type kubernetes.io/basic-auth with the keys username and password.",
        ),
      },
    },
    memberSelection,
  },
} as const satisfies ObjectSchema;

export type EtcdConnection = Infer<typeof etcdConnectionSchema>;
