import { OperatorError } from "./errors.ts";

const units: Readonly<Record<string, number>> = { "": 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** `50Mi` as bytes a second. `where` names the flag or field for the error, which is Usage. */
export function byteRate(text: string, where: string): number {
  const [, digits = "", unit = ""] = /^([1-9]\d*)(Ki|Mi|Gi)?$/.exec(text) ?? [];
  const rate = Number(digits) * (units[unit] ?? 0);
  if (rate > 0 && Number.isSafeInteger(rate)) return rate;
  throw new OperatorError("Usage", `${where} ${text} is not a number of bytes a second`, {
    hint: "write it such as 50Mi (Ki, Mi, Gi or no unit)",
  });
}
