import { createHash } from "node:crypto";

/** The delay of the schedule with this UID, in whole milliseconds below `maxMs`: stable for one UID, uniform over many. */
export function jitterMs(uid: string, maxMs: number): number {
  const digest = createHash("sha256").update(uid).digest();
  return Math.floor((digest.readUIntBE(0, 6) / 2 ** 48) * maxMs);
}
