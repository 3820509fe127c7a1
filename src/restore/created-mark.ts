import { mkdir, readdir, rmdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { codeOf } from "./chown-and-sync.ts";
import { createdMark, isCreatedMark, isWorkFolder } from "./work-layout.ts";

/** How often a directory is tried while other restores come and go. */
const tries = 8;

/** Records in the directory that a restore created it: the last restore that leaves it removes it. */
export async function markCreated(directory: string): Promise<void> {
  await mkdir(createdMark(directory)).catch((error: unknown) => {
    if (!["EEXIST", "ENOENT"].includes(codeOf(error))) throw error;
  });
}

/** Removes the marks of a directory that holds data, and of its parents. */
export async function removeMarks(directory: string): Promise<void> {
  for (const path of withParents(directory)) await rmdir(createdMark(path)).catch(() => {});
}

/**
 * Call it when a restore has removed its work folder from the directory. Removes the directory, and then its parents,
 * where a restore created them, this one (`created`) or another, and no other restore is left in them.
 */
export async function leaveDirectory(directory: string, created: ReadonlySet<string>): Promise<void> {
  for (const path of withParents(directory)) if (!(await removeCreated(path, created.has(path)))) break;
  const entries = await readdir(directory).catch(() => []);
  const hasData = entries.some((name) => !isWorkFolder(name) && !isCreatedMark(name));
  // A restore that is still there removes the marks itself when it succeeds.
  if (hasData && !entries.some(isWorkFolder)) await removeMarks(directory);
}

/** False when the directory stays. */
async function removeCreated(path: string, isOwn: boolean): Promise<boolean> {
  for (let i = 0; i < tries; i++) {
    const entries = await readdir(path).catch((error: unknown) =>
      codeOf(error) === "ENOENT" ? undefined : [],
    );
    if (entries === undefined) return true;
    if (!isOwn && !entries.some(isCreatedMark)) return false;
    if (!entries.every(isCreatedMark)) return false;
    await rmdir(createdMark(path)).catch(() => {});
    try {
      await rmdir(path);
      return true;
    } catch {
      // Another restore that has begun here meanwhile saw no mark. It gets one, and the loop sees when it has left.
      await markCreated(path).catch(() => {});
    }
  }
  return false;
}

/** The directory, then its parents up to the root. */
function withParents(directory: string): string[] {
  const paths: string[] = [];
  for (let at = resolve(directory); paths.at(-1) !== at; at = dirname(at)) paths.push(at);
  return paths;
}
