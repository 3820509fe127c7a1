import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { removeAtExit } from "./exit-cleanup.ts";
import { isAlive } from "./process.ts";

const heartbeatMs = 2_000;
const staleAfterMs = 30_000;

export interface DirectoryLock extends AsyncDisposable {
  /** The lock's directory. It holds unfinished work, which is removed with the lock. */
  readonly path: string;
}

/**
 * Acquires the lock at `path`, and waits while a running process holds it. The lock of a process that died, or that has
 * not touched it for 30 s, is removed. During such a removal two processes may hold the lock for a moment, so the
 * locked work must be idempotent.
 */
export async function lockDirectory(path: string, onWait: (pid: string) => void): Promise<DirectoryLock> {
  for (;;) {
    const own = `${path}.${process.pid}.${randomUUID()}`;
    await mkdir(own, { recursive: true });
    await writeFile(join(own, "pid"), String(process.pid));
    if (await tryRename(own, path)) return heldLock(path);
    await rm(own, { recursive: true, force: true });
    const holder = await holderOf(path);
    if (await isStale(path, holder)) await removeLock(path);
    else {
      onWait(holder);
      await delay(250);
    }
  }
}

/** Renaming a directory onto a non-empty one fails. So the rename acquires the lock, and a lock always holds a pid. */
async function tryRename(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT") return false;
    throw error;
  }
}

async function holderOf(path: string): Promise<string> {
  return readFile(join(path, "pid"), "utf8").catch(() => "");
}

async function isStale(path: string, holder: string): Promise<boolean> {
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age > staleAfterMs) return true;
  const pid = Number(holder);
  return pid > 0 && !isAlive(pid);
}

/** The rename releases it at once: another process may take the name while its files are removed. */
async function removeLock(path: string): Promise<void> {
  const released = `${path}.released.${randomUUID()}`;
  if (await tryRename(path, released)) await rm(released, { recursive: true, force: true });
}

function heldLock(path: string): DirectoryLock {
  const registration = removeAtExit(path);
  const heartbeatTimer = setInterval(
    () => void utimes(path, new Date(), new Date()).catch(() => {}),
    heartbeatMs,
  );
  heartbeatTimer.unref();
  return {
    path,
    async [Symbol.asyncDispose]() {
      clearInterval(heartbeatTimer);
      if ((await holderOf(path)) === String(process.pid)) await removeLock(path);
      registration[Symbol.dispose]();
    },
  };
}
