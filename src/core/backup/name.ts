import { OperatorError } from "../errors.ts";

/** What a backup's name says: when the run began (UTC, whole seconds), the revision, and the run that made it. */
export interface BackupName {
  time: Date;
  revision: number;
  runId: string;
}

const clusterNamePattern = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
const backupNamePattern = /^(\d{8}T\d{6}Z)-r(\d{20})-([a-z0-9]{4,40})$/;

/** Compact, sortable, colon-free UTC time of second precision: `20260820T120000Z`. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
}

/** `<time>-r<revision, 20 digits>-<run id>`: sorts by time, then revision. */
export function formatBackupName(name: BackupName): string {
  return `${formatTime(name.time)}-r${String(name.revision).padStart(20, "0")}-${name.runId}`;
}

/** The inverse of `formatBackupName`; undefined for anything that it could not have written. */
export function parseBackupName(text: string): BackupName | undefined {
  const match = backupNamePattern.exec(text);
  const [, time, digits, runId] = match ?? [];
  if (time === undefined || digits === undefined || runId === undefined) return undefined;
  const name = { time: dateOf(time), revision: Number(digits), runId };
  const valid = !Number.isNaN(name.time.getTime()) && Number.isSafeInteger(name.revision);
  return valid && formatBackupName(name) === text ? name : undefined;
}

/** Of what `formatTime` writes; invalid when no clock shows such a time. */
function dateOf(time: string): Date {
  return new Date(
    `${time.slice(0, 4)}-${time.slice(4, 6)}-${time.slice(6, 11)}:${time.slice(11, 13)}:${time.slice(13, 15)}.000Z`,
  );
}

/** The manifest's object name: the backup's name is this without folder and `.json`. */
export function manifestObject(clusterName: string, name: BackupName): string {
  return `${clusterName}/${formatBackupName(name)}.json`;
}

/** The data's object name. It lacks the revision, which is known only when the last byte has passed. */
export function dataObject(
  clusterName: string,
  time: Date,
  runId: string,
  compression: "Zstd" | "None",
): string {
  return `${clusterName}/${formatTime(time)}-${runId}.db${compression === "Zstd" ? ".zst" : ""}`;
}

/** Whose data an object of this name is; undefined when it is not named as `dataObject` names. */
export function parseDataObject(
  objectName: string,
): { clusterName: string; time: string; runId: string } | undefined {
  const match = /^([^/]+)\/(\d{8}T\d{6}Z)-([a-z0-9]{4,40})\.db(\.zst)?$/.exec(objectName);
  const [, clusterName, time, runId] = match ?? [];
  if (clusterName === undefined || time === undefined || runId === undefined) return undefined;
  const date = dateOf(time);
  return Number.isNaN(date.getTime()) || formatTime(date) !== time ? undefined : { clusterName, time, runId };
}

/** The backup whose manifest an object of this name is. */
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

/** Refuses a cluster name that cannot be one path segment of an object name. */
export function checkClusterName(name: string): string {
  if (clusterNamePattern.test(name) && !name.includes("..")) return name;
  throw new OperatorError("Usage", `cluster name ${JSON.stringify(name)} is not valid`, {
    hint: "use 1 to 63 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit",
  });
}
