import { randomBytes } from "node:crypto";
import { join } from "node:path";

/** The directories of one member that a restore fills. */
export interface RestoreTarget {
  dataDir: string;
  /** The WAL directory where it is not inside the data directory, often on a disk of its own. */
  walDir?: string;
}

/** The paths that one restore works with. None of them exists when the work begins. */
export interface WorkLayout {
  readonly snapshot: string;
  /** The data directory and the WAL directory that the restore tool writes. */
  readonly dataDir: string;
  readonly walDir: string | undefined;
}

const workPrefix = ".restoring-";
const markName = `${workPrefix}created`;
const removedPrefix = "removed-";

/**
 * The paths of the restore `id`, the same in every process that takes part in it. They lie inside the target's own
 * directories, so a rename within one file system puts the result in place.
 */
export function workLayout({ dataDir, walDir }: RestoreTarget, id: string): WorkLayout {
  const folder = workFolder(dataDir, id);
  return {
    snapshot: join(folder, "snapshot.db"),
    dataDir: dataOfWork(folder),
    walDir: walDir === undefined ? undefined : walOfWork(workFolder(walDir, id)),
  };
}

/** The work folder of the restore `id` in a data directory or a WAL directory. */
export function workFolder(directory: string, id: string): string {
  return join(directory, `${workPrefix}${id}`);
}

/** What `beginWork` puts into a work folder. The restore tool creates a folder again that was taken away, without it. */
export function heldMark(folder: string): string {
  return join(folder, "held");
}

/** The data directory in a work folder of a data directory. */
export function dataOfWork(folder: string): string {
  return join(folder, "data");
}

/** The WAL directory in a work folder of a WAL directory. */
export function walOfWork(folder: string): string {
  return join(folder, "wal");
}

/** Whether an entry of a data directory or a WAL directory is the work folder of some restore. */
export function isWorkFolder(name: string): boolean {
  return name.startsWith(workPrefix) && !isCreatedMark(name);
}

/** The entry of a directory that a restore created. It stays when another restore takes over. */
export function createdMark(directory: string): string {
  return join(directory, markName);
}

export function isCreatedMark(name: string): boolean {
  return name === markName;
}

/** The new name of a work folder that is being removed. It sorts after those of restores, whose ids are hexadecimal. */
export function removedFolder(directory: string): string {
  return workFolder(directory, `${removedPrefix}${randomBytes(8).toString("hex")}`);
}

/** Whether a work folder has been renamed by `removedFolder`. */
export function isRemovedFolder(name: string): boolean {
  return name.startsWith(`${workPrefix}${removedPrefix}`);
}

/** The folder that etcd takes for an existing member: without it etcd starts a new one. */
export function memberDir(dataDir: string): string {
  return join(dataDir, "member");
}

/** The file beside the data that says which restore made it. A restore that was interrupted leaves none. */
export function markerFile(dataDir: string): string {
  return join(memberDir(dataDir), "restored.json");
}

/** The target's directories, each with the words that name it in a message. */
export function directoriesOf({ dataDir, walDir }: RestoreTarget): [what: string, path: string][] {
  return [
    ["data directory", dataDir],
    ...(walDir === undefined ? [] : [["WAL directory", walDir] as [string, string]]),
  ];
}
