import { chown, open, readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

export interface Owner {
  uid: number;
  gid: number;
}

export async function ownerOf(path: string): Promise<Owner> {
  const { uid, gid } = await stat(path);
  return { uid, gid };
}

/**
 * Gives the directory and everything below it to `owner` and syncs it to disk. Without chown rights the owner stays
 * as it is: then etcd has to run as this process's user.
 */
export async function chownAndSync(directory: string, owner: Owner): Promise<void> {
  await chownTo(directory, owner);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const child = join(directory, entry.name);
    if (entry.isDirectory()) await chownAndSync(child, owner);
    else {
      await chownTo(child, owner);
      await syncPath(child);
    }
  }
  await syncPath(directory);
}

async function chownTo(path: string, owner: Owner): Promise<void> {
  const { uid, gid } = await ownerOf(path);
  if (uid === owner.uid && gid === owner.gid) return;
  await chown(path, owner.uid, owner.gid).catch((error: unknown) => {
    if (codeOf(error) !== "EPERM") throw error;
  });
}

export async function syncPath(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

/** Syncs the parent directory, unless this process may not read it. */
export async function syncParent(path: string): Promise<void> {
  await syncPath(dirname(resolve(path))).catch((error: unknown) => {
    if (codeOf(error) !== "EACCES") throw error;
  });
}

/** The code of a system error, such as ENOENT; any other error as text. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
