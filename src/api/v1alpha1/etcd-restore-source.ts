import { exactlyOneOf, matches } from "../schema/cel-rules.ts";
import { clusterName, reference } from "../schema/name-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

/** `spec.source` of an EtcdRestore. */
export const restoreSourceSchema = {
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
