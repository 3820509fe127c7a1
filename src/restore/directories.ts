import { lstat, mkdir, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { codeOf, syncParent } from "./chown-and-sync.ts";
import { markCreated } from "./created-mark.ts";

/** Only etcd's user may read what holds the data. */
export const privateMode = 0o700;

/**
 * Creates the directory and the parents that it lacks, marks them, and adds them to `created`. A directory that exists
 * is left as it is. Another restore that fails may remove parents at the same time.
 */
export async function createDirectory(path: string, created: Set<string>): Promise<void> {
  for (let left = 3; ; left--) {
    try {
      for (const missing of (await missingDirectories(path)).toReversed())
        if (await isMade(missing)) {
          created.add(missing);
          await markCreated(missing);
        }
      return;
    } catch (error) {
      if (codeOf(error) !== "ENOENT" || left === 0) throw error;
    }
  }
}

/** False when another process has created it. */
async function isMade(directory: string): Promise<boolean> {
  try {
    await mkdir(directory, { mode: privateMode });
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
  await syncParent(directory);
  return true;
}

/** The directories that have to be created for this one to exist, itself first. */
async function missingDirectories(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await pathExists(at)); at = dirname(at)) missing.push(at);
  return missing;
}

export async function pathExists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Removes the file or directory. What cannot be removed is left: the next restore removes it. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
}
