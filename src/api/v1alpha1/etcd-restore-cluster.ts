import { matches } from "../schema/cel-rules.ts";
import { secretReference } from "../schema/name-schemas.ts";
import { quantities, quantity } from "../schema/pod-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { podTemplateSchema } from "./etcd-restore-pod-template.ts";

/** `spec.target.cluster` of an EtcdRestore. */
export const restoreClusterSchema = {
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
      properties: {
        requests: quantities("What is set aside."),
        limits: quantities("What must not be exceeded."),
      },
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
    podTemplate: podTemplateSchema,
  },
} as const satisfies ObjectSchema;
