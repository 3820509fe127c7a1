import { matches } from "../schema/cel-rules.ts";
import { secretReference } from "../schema/name-schemas.ts";
import { quantities, quantity } from "../schema/pod-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { podTemplateSchema } from "./etcd-restore-pod-template.ts";

/** `spec.target.cluster` of an EtcdRestore. */
export const restoreClusterSchema = {
  type: "object",
  description:
    "The new etcd cluster. The names of its objects have to be free: the restore never changes existing objects.",
  required: ["name", "image", "storage"],
  properties: {
    name: {
      type: "string",
      description: "Name of the StatefulSet, and the first part of the names of all other objects.",
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
        "Number of members. It has to be odd: an even number tolerates no more failures than one member fewer.",
      minimum: 1,
      maximum: 7,
      default: 3,
      "x-kubernetes-validations": [{ rule: "self % 2 == 1", message: "must be odd: 1, 3, 5 or 7" }],
    },
    image: {
      type: "string",
      description:
        "Container image with etcd and etcdutl in its PATH (for etcd 3.4 etcdctl). The version in its tag must not be of an earlier minor than the backup's.",
      minLength: 1,
      maxLength: 512,
      "x-kubernetes-validations": [
        matches(
          "^[^\\s@]+(:[^\\s/@]+)?(@sha256:[0-9a-f]{64})?$",
          "must be the name of a container image, such as registry.k8s.io/etcd:3.6.5-0",
        ),
      ],
    },
    etcdVersion: {
      type: "string",
      description:
        "Version of etcd in the image, such as 3.6.16. It is needed when the image's tag does not give it.",
      maxLength: 32,
      "x-kubernetes-validations": [
        matches("^3\\.[0-9]+\\.[0-9]+$", "must be a version of etcd 3, such as 3.6.16"),
      ],
    },
    imagePullPolicy: {
      type: "string",
      description: "Image pull policy of all containers, the operator's own image included.",
      enum: ["IfNotPresent", "Always", "Never"],
      default: "IfNotPresent",
    },
    storage: {
      type: "object",
      description: "The volume that each member gets.",
      required: ["size"],
      properties: {
        size: quantity(
          "Size of each volume, such as 8Gi. The restore needs at least twice the size of the database.",
        ),
        storageClassName: {
          type: "string",
          description:
            "Name of the StorageClass. Without it the Kubernetes cluster's default StorageClass is used.",
          maxLength: 253,
        },
      },
    },
    resources: {
      type: "object",
      description: "Resources of the etcd containers and of the restore Jobs' containers, as in a container.",
      properties: {
        requests: quantities("Resources to reserve, such as cpu and memory."),
        limits: quantities("Resources that a container must not exceed, such as memory."),
      },
    },
    extraArgs: {
      type: "array",
      description: "Additional flags for etcd, such as --quota-backend-bytes=8589934592.",
      maxItems: 50,
      items: {
        type: "string",
        description: "One flag, with its value after an equals sign.",
        maxLength: 512,
        "x-kubernetes-validations": [
          matches("^--[a-z0-9][a-z0-9-]*(=.*)?$", "must be one flag, such as --max-txn-ops=256"),
        ],
      },
    },
    tls: {
      type: "object",
      description:
        "Certificates of the members. The client port without client, and the peer port without peer, use http.",
      minProperties: 1,
      properties: {
        client: secretReference(
          "Secret with the keys tls.crt, tls.key and ca.crt for the client port. The certificate has to contain NAME-client.NAMESPACE.svc and 127.0.0.1, and to allow client authentication, which etcd itself needs.",
        ),
        peer: secretReference(
          "Secret with the keys tls.crt, tls.key and ca.crt for the peer port. The certificate has to contain *.NAME-peers.NAMESPACE.svc.",
        ),
      },
    },
    auth: {
      type: "object",
      description:
        "An etcd user in the backup. It is needed to verify the new cluster when authentication was enabled at the time of the backup, since the restore keeps it enabled.",
      required: ["secretRef"],
      properties: {
        secretRef: secretReference(
          "Secret of the type kubernetes.io/basic-auth with the keys username and password. The user needs the root role, and the password it had at the time of the backup.",
        ),
      },
    },
    podTemplate: podTemplateSchema,
  },
} as const satisfies ObjectSchema;
