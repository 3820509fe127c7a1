import { observedGeneration } from "../schema/status-fields.ts";
import type { ObjectSchema } from "../schema/schema.ts";
import { conditionsSchema } from "./conditions.ts";

export const etcdBackupStoreStatusSchema = {
  type: "object",
  description: "What the operator has seen. It alone writes here.",
  default: { observedGeneration: -1 },
  required: ["observedGeneration"],
  properties: {
    observedGeneration,
    conditions: conditionsSchema,
    url: {
      type: "string",
      description: "Where it is, as the command line writes it: s3://bucket/prefix or file:///path.",
    },
    lastProbeTime: { type: "string", format: "date-time", description: "When the store was last tried." },
    capabilities: {
      type: "object",
      description: "What the store can do, as found by the last probe that succeeded.",
      required: ["conditionalWrites", "checksums", "objectLock"],
      properties: {
        conditionalWrites: { type: "boolean", description: "It refuses to overwrite, by If-None-Match." },
        checksums: { type: "boolean", description: "It computes the CRC-32C of a whole object itself." },
        objectLock: {
          type: "boolean",
          description: "The bucket keeps objects from being deleted for a time.",
        },
      },
    },
    backups: {
      type: "integer",
      format: "int32",
      minimum: 0,
      description: "How many backups it holds, of all clusters.",
    },
    latestBackup: {
      type: "object",
      description: "The newest backup, of any cluster.",
      required: ["name", "clusterName", "revision", "completionTime"],
      properties: {
        name: { type: "string", description: "Its name in the store." },
        clusterName: { type: "string", description: "Its cluster's name in the store." },
        revision: {
          type: "integer",
          format: "int64",
          minimum: 0,
          description: "Revision of its newest key.",
        },
        completionTime: { type: "string", format: "date-time", description: "When it was completed." },
      },
    },
  },
} as const satisfies ObjectSchema;
