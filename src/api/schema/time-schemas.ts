import { matches } from "./cel-rules.ts";
import type { StringSchema } from "./schema.ts";

/** Times in cron format. */
export function cronSchedule<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    minLength: 1,
    maxLength: 128,
    "x-kubernetes-validations": [
      {
        rule: "self.matches(r'^@(hourly|daily|midnight|weekly|monthly|yearly|annually)$') || self.matches(r'^\\s*\\S+(\\s+\\S+){4}\\s*$')",
        message:
          "must have five fields (minute, hour, day of the month, month, day of the week), such as '0 */6 * * *', or be @hourly, @daily, @weekly, @monthly or @yearly",
      },
    ],
  } as const satisfies StringSchema;
}

/** The IANA name of a time zone. */
export function timeZone<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    minLength: 1,
    maxLength: 64,
    default: "UTC",
  } as const satisfies StringSchema;
}

/** Bytes a second. */
export function byteRateField<const D extends string>(description: D) {
  return {
    type: "string",
    description,
    maxLength: 16,
    "x-kubernetes-validations": [
      matches(
        "^[1-9][0-9]*(Ki|Mi|Gi)?$",
        "must be bytes per second as a whole number with the unit Ki, Mi, Gi or none, such as 50Mi",
      ),
    ],
  } as const satisfies StringSchema;
}
