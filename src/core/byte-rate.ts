import { OperatorError } from "./errors.ts";
import { parseQuantity } from "./quantity.ts";

/** Parses `50Mi` to bytes a second. Throws Usage, whose message names the flag or field `where`. */
export function byteRate(text: string, where: string): number {
  const rate = /^[1-9]\d*(Ki|Mi|Gi)?$/.test(text) ? parseQuantity(text) : undefined;
  if (rate !== undefined && Number.isSafeInteger(rate)) return rate;
  throw new OperatorError("Usage", `${where} ${text} is not a number of bytes a second`, {
    hint: "write a whole number with the unit Ki, Mi, Gi or none, such as 50Mi",
  });
}
