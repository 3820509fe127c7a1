import { exactlyOneOf, matches } from "../schema/cel-rules.ts";
import { clusterName, reference } from "../schema/name-schemas.ts";
import type { ObjectSchema } from "../schema/schema.ts";

/** `spec.source` of an EtcdRestore. */
export const restoreSourceSchema = {
  type: "object",
  description: "The backup to restore.",
  "x-kubernetes-validations": [exactlyOneOf("backupRef", "store")],
  properties: {
    backupRef: reference(
      "The EtcdBackup whose backup is restored. It has to have succeeded.",
      "Name of the EtcdBackup in the same namespace.",
    ),
    store: {
      type: "object",
      description: "A backup in a store. This needs no EtcdBackup in the API server.",
      required: ["storeRef", "clusterName"],
      properties: {
        storeRef: reference(
          "The EtcdBackupStore to read from. Its accessMode may be ReadOnly.",
          "Name of the EtcdBackupStore in the same namespace.",
        ),
        clusterName: clusterName("Name in the store of the etcd cluster that was backed up."),
        backup: {
          type: "string",
          description:
            "Name of the backup, as `etcd-backup list` shows it, or latest for the newest complete backup at the time when the restore begins.",
          default: "latest",
          maxLength: 128,
          "x-kubernetes-validations": [
            matches(
              "^(latest|[0-9]{8}T[0-9]{6}Z-r[0-9]{20}-[a-z0-9]{4,40})$",
              "must be latest, or the name of a backup as `etcd-backup list` shows it",
            ),
          ],
        },
      },
    },
  },
} as const satisfies ObjectSchema;
