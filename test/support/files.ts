import { createHash } from "node:crypto";
import { lstat, readFile, readdir } from "node:fs/promises";
import { join, relative } from "node:path";

/** Paths of every file below a directory, hidden ones too, relative to it and sorted. */
export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** The files of a file store below its directory that belong to backups, and not to the claims of their folders. */
export async function backupFilesBelow(directory: string): Promise<string[]> {
  return (await filesBelow(directory)).filter((name) => !isOwnership(name));
}

/** Whether the object says to whom a folder of the store belongs. It stays when a backup fails. */
export function isOwnership(name: string): boolean {
  return /(^|\/)(\.writers\/.*|claim\/\d{20}\.json|restores\/cluster-[0-9a-f]+\.json)$/.test(name);
}

/** Kind, mode, owner and SHA-256 of everything below a directory, by relative path: equal before and after when nothing changed. */
export async function treeOf(directory: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  const names = ["", ...(await readdir(directory, { recursive: true }))];
  for (const name of names.toSorted()) {
    const path = join(directory, name);
    const stats = await lstat(path);
    const kind = stats.isDirectory() ? "directory" : stats.isFile() ? "file" : "other";
    const content = stats.isFile() ? ` ${sha256(await readFile(path))}` : "";
    tree[name] = `${kind} ${(stats.mode & 0o7777).toString(8)} ${stats.uid}:${stats.gid}${content}`;
  }
  return tree;
}

/** The digest as hexadecimal text. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
