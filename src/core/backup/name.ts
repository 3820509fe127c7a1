import { OperatorError } from "../errors.ts";

/** The parts of a backup's name: when the run began (UTC, whole seconds), the revision and the run ID. */
export interface BackupName {
  time: Date;
  revision: number;
  runId: string;
}

const clusterNamePattern = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
const backupNamePattern = /^(\d{8}T\d{6}Z)-r(\d{20})-([a-z0-9]{4,40})$/;

/** UTC time to the second, without colons: `20260820T120000Z`. Sorts by time. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
}

/** `<time>-r<revision, 20 digits>-<run id>`: sorts by time, then revision. */
export function formatBackupName(name: BackupName): string {
  return `${formatTime(name.time)}-r${String(name.revision).padStart(20, "0")}-${name.runId}`;
}

/** The inverse of `formatBackupName`. Undefined for a text that it does not write. */
export function parseBackupName(text: string): BackupName | undefined {
  const match = backupNamePattern.exec(text);
  const [, time, digits, runId] = match ?? [];
  if (time === undefined || digits === undefined || runId === undefined) return undefined;
  const name = { time: dateOf(time), revision: Number(digits), runId };
  const valid = !Number.isNaN(name.time.getTime()) && Number.isSafeInteger(name.revision);
  return valid && formatBackupName(name) === text ? name : undefined;
}

/** The inverse of `formatTime`. An invalid Date when the text is no time of the calendar. */
function dateOf(time: string): Date {
  return new Date(
    `${time.slice(0, 4)}-${time.slice(4, 6)}-${time.slice(6, 11)}:${time.slice(11, 13)}:${time.slice(13, 15)}.000Z`,
  );
}

/** The manifest's object name: `<cluster>/<backup name>.json`. */
export function manifestObject(clusterName: string, name: BackupName): string {
  return `${clusterName}/${formatBackupName(name)}.json`;
}

/** The data's object name. It has no revision, which is known only after the last byte. */
export function dataObject(
  clusterName: string,
  time: Date,
  runId: string,
  compression: "Zstd" | "None",
): string {
  return `${clusterName}/${formatTime(time)}-${runId}.db${compression === "Zstd" ? ".zst" : ""}`;
}

/** The names that the data of this backup may have: without compression, and with it. */
export function dataObjectsOf(clusterName: string, { time, runId }: BackupName): [string, string] {
  return [dataObject(clusterName, time, runId, "None"), dataObject(clusterName, time, runId, "Zstd")];
}

/** The inverse of `dataObject`. Undefined for a name that it does not write. */
export function parseDataObject(
  objectName: string,
): { clusterName: string; time: string; runId: string } | undefined {
  const match = /^([^/]+)\/(\d{8}T\d{6}Z)-([a-z0-9]{4,40})\.db(\.zst)?$/.exec(objectName);
  const [, clusterName, time, runId] = match ?? [];
  if (clusterName === undefined || time === undefined || runId === undefined) return undefined;
  const date = dateOf(time);
  return Number.isNaN(date.getTime()) || formatTime(date) !== time ? undefined : { clusterName, time, runId };
}

/** The inverse of `manifestObject`. Undefined for a name that it does not write. */
export function parseManifestObject(
  objectName: string,
): { clusterName: string; name: string; backup: BackupName } | undefined {
  const match = /^([^/]+)\/([^/]+)\.json$/.exec(objectName);
  const [, clusterName, name] = match ?? [];
  const backup = name === undefined ? undefined : parseBackupName(name);
  return clusterName === undefined || name === undefined || backup === undefined
    ? undefined
    : { clusterName, name, backup };
}

/**
 * Kinds of objects that have their place in a cluster's folder beside the backups: `<cluster>/<kind>/<anything>`, and
 * `<cluster>/<kind>.json` for a kind of one object. `restores` and `claim` are in use or planned as the records of
 * restores and of the folder's owner, `archive` for segments of the history between backups, `drills` for the records of
 * rehearsed restores, `keys` for encryption keys, `catalog` for an index of the backups, `verification` for what the
 * verifications of the backups have found.
 *
 * The rule for every release: a new kind of object gets a folder here, or a name that no pattern in this file matches.
 * Such objects are never listed as backups, never deleted as orphans, and never read. A backup that an earlier release
 * would misread keeps the names of manifest and data and gets another `formatVersion`; or else a third object of its run,
 * whose name begins with those of the run, tells earlier releases that the data is no orphan.
 */
export const reservedKinds = [
  "archive",
  "catalog",
  "claim",
  "drills",
  "keys",
  "restores",
  "verification",
] as const;

/** What an object in the store is by its name. `unknown`: of a later release, or not of this program. */
export type ObjectKind = "manifest" | "data" | (typeof reservedKinds)[number] | "unknown";

export function objectKind(objectName: string): ObjectKind {
  if (parseManifestObject(objectName) !== undefined) return "manifest";
  if (parseDataObject(objectName) !== undefined) return "data";
  const kind = /^[^/]+\/([a-z]+)(?:\.json$|\/[^/])/.exec(objectName)?.[1];
  return reservedKinds.find((reserved) => reserved === kind) ?? "unknown";
}

/** The run that an object's name begins with: `<cluster>/<time>-<run id>` or `<cluster>/<backup name>`, then any ending. */
export function parseRun(
  objectName: string,
): { clusterName: string; time: string; runId: string } | undefined {
  const match = /^([^/]+)\/(\d{8}T\d{6}Z)-(?:r\d{20}-)?([a-z0-9]{4,40})(?![a-z0-9])/.exec(objectName);
  const [, clusterName, time, runId] = match ?? [];
  return clusterName === undefined || time === undefined || runId === undefined
    ? undefined
    : { clusterName, time, runId };
}

/** Returns the name, or throws Usage when it cannot be one path segment of an object name. */
export function checkClusterName(name: string): string {
  if (clusterNamePattern.test(name) && !name.includes("..")) return name;
  throw new OperatorError("Usage", `cluster name ${JSON.stringify(name)} is not valid`, {
    hint: "use 1 to 63 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit",
  });
}
