import { matches } from "../schema/cel-rules.ts";
import type { Infer, IntegerSchema, ObjectSchema } from "../schema/schema.ts";

/** A number of years, months, weeks, days and hours, in this order. A pattern of RE2 and of JavaScript. */
export const keepWithinPattern = "^([0-9]{1,4}y)?([0-9]{1,4}m)?([0-9]{1,4}w)?([0-9]{1,4}d)?([0-9]{1,4}h)?$";

/** What a text has to be that does not match `keepWithinPattern` or is no time at all. */
export const keepWithinProblem =
  "must be a time such as 36h, 7d, 2w, 6m or 1y6m: years, months, weeks, days and hours in this order, each at most 9999, and not all of them 0";

function count<const D extends string>(description: D) {
  return {
    type: "integer",
    format: "int32",
    description,
    minimum: 1,
    maximum: 10_000,
  } as const satisfies IntegerSchema;
}

/** The `adoptFrom` of backups whose manifest names no Kubernetes cluster, since the operator could not read its UID. */
export const adoptUnknown = "unknown";

export const retentionSchema = {
  type: "object",
  description:
    "Which stored backups of the schedule to keep. A backup stays when at least one rule keeps it. Without a rule all of them stay. Only backups that this schedule made are removed, and never the newest one that can be restored. Hours, days, weeks, months and years are those of the calendar in the schedule's time zone.",
  properties: {
    keepLast: count("Keep this number of the newest backups."),
    keepHourly: count(
      "Keep the newest backup of each hour, for this number of the latest hours that have a backup.",
    ),
    keepDaily: count(
      "Keep the newest backup of each day, for this number of the latest days that have a backup.",
    ),
    keepWeekly: count(
      "Keep the newest backup of each week, for this number of the latest weeks that have a backup. A week begins on Monday (ISO 8601).",
    ),
    keepMonthly: count(
      "Keep the newest backup of each month, for this number of the latest months that have a backup.",
    ),
    keepYearly: count(
      "Keep the newest backup of each year, for this number of the latest years that have a backup.",
    ),
    keepWithin: {
      type: "string",
      description:
        "Keep every backup that is younger than this time, such as 36h, 7d, 2w, 6m or 1y6m: years, months, weeks, days and hours. It is counted back from the newest backup of the schedule and not from now, so nothing is removed because backups have stopped.",
      maxLength: 25,
      "x-kubernetes-validations": [
        {
          rule: `self.matches(r'${keepWithinPattern}') && self.matches('[1-9]')`,
          message: keepWithinProblem,
        },
      ],
    },
    adoptFrom: {
      type: "string",
      description:
        "UID of the namespace kube-system of another Kubernetes cluster. Backups that a schedule of the same name and namespace made there count as backups of this schedule, and are removed as such. Without it they are kept, so that two clusters which share a store by mistake do not remove each other's backups. Set it after this cluster has replaced the other one. `unknown` stands for the backups that name no Kubernetes cluster, because the operator that made them was not allowed to read the namespace kube-system.",
      maxLength: 36,
      "x-kubernetes-validations": [
        matches(
          `^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|${adoptUnknown})$`,
          "must be unknown, or the UID that `kubectl get namespace kube-system -o jsonpath={.metadata.uid}` prints in the other cluster",
        ),
      ],
    },
  },
} as const satisfies ObjectSchema;

export type RetentionPolicy = Infer<typeof retentionSchema>;
