import { lstat, mkdir, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { codeOf, syncParent } from "./chown-and-sync.ts";

/** Only etcd's user may read what holds the data. */
export const privateMode = 0o700;

/** Creates the directory and the parents that it lacks. A directory that exists is left as it is. */
export async function createDirectory(path: string): Promise<void> {
  for (const missing of (await missingDirectories(path)).toReversed()) {
    await mkdir(missing, { mode: privateMode }).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await syncParent(missing);
  }
}

/** The directories that have to be created for this one to exist, itself first. */
export async function missingDirectories(path: string): Promise<string[]> {
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
