import { lstat, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "./chown-and-sync.ts";
import { pathExists, removeTree } from "./directories.ts";
import {
  dataOfWork,
  isRemovedFolder,
  isWorkFolder,
  memberDir,
  removedFolder,
  walOfWork,
} from "./work-layout.ts";

/** Names of the work folders in a directory. */
export async function workIn(directory: string): Promise<string[]> {
  return (await entriesOf(directory)).filter(isWorkFolder);
}

/**
 * Renames each work folder before removing it, so that a restore still running there loses all files at once. One that
 * another restore removes at the same time is missing. Links of its WAL are removed too: call it for a WAL directory
 * only when the restores of these folders can no longer commit.
 */
export async function removeWork(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const aside = removedFolder(directory);
    if (!(await renamed(join(directory, name), aside))) continue;
    await unlinkPlaced(directory, aside);
    await removeTree(aside);
  }
}

/**
 * Removes the links of the work folder's WAL from the WAL directory. It renames them into the folder, which fails once
 * another restore has renamed the folder: then the link at that name may be another one.
 */
export async function unlinkPlaced(walDir: string, folder: string): Promise<void> {
  for (const name of await placedFrom(walDir, folder))
    await renamed(join(walDir, name), join(folder, `placed-${name}`));
}

/**
 * Files that a restore has linked into the WAL directory before it was stopped: its `member` is still in its work
 * folder of the data directory, or another restore was stopped while it removed its work.
 */
export async function linksOfUncommitted(walDir: string, dataDir: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await workIn(walDir)) {
    const isUncommitted =
      isRemovedFolder(name) || (await pathExists(memberDir(dataOfWork(join(dataDir, name)))));
    if (isUncommitted) found.push(...(await placedFrom(walDir, join(walDir, name))));
  }
  return found;
}

/** Names of the files that are in the WAL directory and in the work folder. */
async function placedFrom(walDir: string, folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await entriesOf(walOfWork(folder))) {
    const [own, placed] = [await inodeOf(join(walOfWork(folder), name)), await inodeOf(join(walDir, name))];
    if (own !== undefined && own === placed) found.push(name);
  }
  return found;
}

async function entriesOf(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  });
}

async function inodeOf(path: string): Promise<string | undefined> {
  return lstat(path, { bigint: true }).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  );
}

/** False when the file is missing. */
async function renamed(from: string, to: string): Promise<boolean> {
  return rename(from, to).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    },
  );
}
