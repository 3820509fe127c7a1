/**
 * The identity of one attempt in object names: 12 hex digits of the resource's UID, `x`, the attempt. A new operator
 * finds by it what an earlier one stored.
 */
export function runIdOf(uid: string, attempt: number): string {
  return `${runPrefix(uid)}${attempt}`;
}

/** What the run IDs of all attempts of one resource begin with. */
export function runPrefix(uid: string): string {
  return `${uid.replaceAll("-", "").toLowerCase().slice(0, 12)}x`;
}
