/**
 * The run ID of one attempt: 12 hex digits of the resource's UID, `x`, the attempt's number. It is part of the object
 * names, so a new operator finds what an earlier one stored.
 */
export function runIdOf(uid: string, attempt: number): string {
  return `${runPrefix(uid)}${attempt}`;
}

/** The prefix that the run IDs of one resource share. */
export function runPrefix(uid: string): string {
  return `${uid.replaceAll("-", "").toLowerCase().slice(0, 12)}x`;
}
