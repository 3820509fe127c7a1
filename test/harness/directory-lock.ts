import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { removeAtExit } from "./exit-cleanup.ts";

const heartbeat = 2_000;
const staleAfter = 30_000;

export interface DirectoryLock extends AsyncDisposable {
  /** The lock itself: unfinished work lies in it and goes with it. */
  readonly path: string;
}

/**
 * Takes the lock at `path`, waiting while a living process holds it. A holder that died, or that has not
 * touched its lock for 30 s, is put aside. In the moment of a take-over two may hold it: what they do must
 * bear being done twice.
 */
export async function lockDirectory(path: string, waiting: (pid: string) => void): Promise<DirectoryLock> {
  for (;;) {
    const own = `${path}.${process.pid}.${randomUUID()}`;
    await mkdir(own, { recursive: true });
    await writeFile(join(own, "pid"), String(process.pid));
    if (await renamed(own, path)) return held(path);
    await rm(own, { recursive: true, force: true });
    const holder = await holderOf(path);
    if (await isStale(path, holder)) await putAside(path);
    else {
      waiting(holder);
      await delay(250);
    }
  }
}

/** Renaming a directory onto one that is not empty fails: that makes it a lock that is never without a pid. */
async function renamed(from: string, to: string): Promise<boolean> {
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
  if (age > staleAfter) return true;
  const pid = Number(holder);
  return pid > 0 && !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function putAside(path: string): Promise<void> {
  const aside = `${path}.stale.${randomUUID()}`;
  if (await renamed(path, aside)) await rm(aside, { recursive: true, force: true });
}

function held(path: string): DirectoryLock {
  const registration = removeAtExit(path);
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), heartbeat);
  beat.unref();
  return {
    path,
    async [Symbol.asyncDispose]() {
      clearInterval(beat);
      if ((await holderOf(path)) === String(process.pid)) await rm(path, { recursive: true, force: true });
      registration[Symbol.dispose]();
    },
  };
}
