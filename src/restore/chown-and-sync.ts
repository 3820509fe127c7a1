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
 * Everything below is given to the directory's owner, who is to run etcd, and is on the disk when this returns. Who is
 * not allowed to give files away is to run etcd himself.
 */
export async function settle(path: string, owner: Owner): Promise<void> {
  await give(path, owner);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await settle(child, owner);
    else {
      await give(child, owner);
      await sync(child);
    }
  }
  await sync(path);
}

async function give(path: string, owner: Owner): Promise<void> {
  const { uid, gid } = await ownerOf(path);
  if (uid === owner.uid && gid === owner.gid) return;
  await chown(path, owner.uid, owner.gid).catch((error: unknown) => {
    if (codeOf(error) !== "EPERM") throw error;
  });
}

export async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

/** A parent that may be passed through but not read cannot be synced by us. */
export async function syncParent(path: string): Promise<void> {
  await sync(dirname(resolve(path))).catch((error: unknown) => {
    if (codeOf(error) !== "EACCES") throw error;
  });
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
