import { link, mkdir, readdir, rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { chownAndSync, codeOf, ownerOf, syncParent, syncPath } from "./chown-and-sync.ts";
import { leaveDirectory, removeMarks } from "./created-mark.ts";
import { createDirectory, pathExists, privateMode, removeTree } from "./directories.ts";
import { writeMarker } from "./marker.ts";
import { removeWork, unlinkPlaced, workIn } from "./other-work.ts";
import { checkEmpty } from "./target.ts";
import {
  directoriesOf,
  heldMark,
  isWorkFolder,
  memberDir,
  removedFolder,
  type RestoreTarget,
  workFolder,
  workLayout,
} from "./work-layout.ts";

/**
 * Creates the work folders of the restore `id`, and removes those of any other restore. Nothing in the target looks
 * like data until `placeWork`. Of two restores at once the later one takes over, unless the earlier one has committed.
 *
 * The work folder in the data directory is the lock of the whole target: a restore without it cannot commit. It is taken
 * first. From the WAL directory only the work of restores that have lost the lock is removed: what was there before this
 * one took the lock, and what it has removed from the data directory.
 * Directories that it creates are added to `created`, for `endWork`.
 */
export async function beginWork(
  target: RestoreTarget,
  id: string,
  created: Set<string> = new Set(),
): Promise<void> {
  const { dataDir, walDir } = target;
  const stale = walDir === undefined ? [] : await workIn(walDir);
  for (const [what, path] of directoriesOf(target)) {
    const refused = (action: string) => (error: unknown) => {
      if (error instanceof OperatorError) throw error;
      throw new OperatorError("Refused", `${what} ${path} cannot be ${action}: ${codeOf(error)}`, {
        hint: "create it for etcd's user, or run this command as root",
        cause: error,
      });
    };
    await createDirectory(path, created).catch(refused("created"));
    if (path === dataDir) stale.push(...(await workIn(path).catch(refused("written"))));
    await removeWork(path, stale).catch(refused("written"));
    await enter(path, id, created).catch(refused("written"));
    if (path === dataDir) stale.push(...(await takeLock(path, id).catch(refused("written"))));
    // A restore that committed meanwhile has either lost its files by now, or its data shows here.
    await checkEmpty(what, path, dataDir);
  }
}

/** Creates the work folder. Another restore that fails may remove the directory at the same time. */
async function enter(path: string, id: string, created: Set<string>): Promise<void> {
  for (let left = 3; ; left--) {
    try {
      const folder = workFolder(path, id);
      await mkdir(folder, { mode: privateMode });
      await mkdir(heldMark(folder));
      return;
    } catch (error) {
      if (codeOf(error) !== "ENOENT" || left === 0) throw error;
      await createDirectory(path, created);
    }
  }
}

/**
 * Leaves the work folder of one restore at most. Each restore looks after it has created its own, so of two the later
 * one sees the earlier. Of restores that begin at the same time the one with the lowest name goes on. Returns the names
 * that it has removed.
 */
async function takeLock(dataDir: string, id: string): Promise<string[]> {
  const own = basename(workFolder(dataDir, id));
  const entries = await readdir(dataDir);
  const others = entries.filter((name) => isWorkFolder(name) && name !== own);
  if (!entries.includes(own) || others.some((name) => name < own)) throw conflictIn(dataDir);
  await removeWork(dataDir, others);
  return others;
}

/** Syncs the result, writes the marker and puts both in place. After a crash the whole member is there, or nothing. */
export async function commitWork(target: RestoreTarget, id: string, marker: object): Promise<void> {
  await syncWork(target, id, marker);
  await placeWork(target, id);
  await finishWork(target, id);
}

/** Does everything that is likely to fail, before `placeWork` puts anything in place. */
export async function syncWork(target: RestoreTarget, id: string, marker: object): Promise<void> {
  const work = workLayout(target, id);
  const member = memberDir(work.dataDir);
  if (!(await pathExists(member)) && (await pathExists(dirname(work.dataDir)))) {
    throw new OperatorError("Refused", `the restore tool exited with code 0 and did not create ${member}`, {
      hint: "use a tool that runs on this machine and reaches its directories",
    });
  }
  await conflictIfMissing(target, async () => {
    await writeMarker(work.dataDir, marker);
    await chownAndSync(member, await ownerOf(target.dataDir));
    if (target.walDir !== undefined && work.walDir !== undefined)
      await chownAndSync(work.walDir, await ownerOf(target.walDir));
  });
}

/**
 * Renames the restored `member` into place: until then etcd takes the directory for a new member. A WAL that lies apart
 * is linked into place before it. The rename is the commit: it fails when another restore has taken over, and the links
 * of a restore that is killed before it are recognized by `member`, which is still in the work folder.
 */
export async function placeWork(target: RestoreTarget, id: string): Promise<void> {
  const { dataDir, walDir } = target;
  const work = workLayout(target, id);
  const restored = memberDir(work.dataDir);
  await conflictIfMissing(target, async () => {
    try {
      // A restore that has lost the lock does not stand in the other's way.
      for (const [, path] of directoriesOf(target)) await stat(heldMark(workFolder(path, id)));
      if (walDir !== undefined && work.walDir !== undefined) await linkAll(work.walDir, walDir);
      await rename(restored, memberDir(dataDir));
    } catch (error) {
      if (walDir !== undefined) await unlinkPlaced(walDir, workFolder(walDir, id));
      throw error;
    }
  });
  try {
    await syncPath(dataDir);
    for (const [, path] of directoriesOf(target)) await syncParent(path);
  } catch (error) {
    await takeBackWork(target, id);
    throw error;
  }
}

/** Removes what `placeWork` has put in place. No other restore replaces or removes a `member` that is in place. */
export async function takeBackWork({ dataDir, walDir }: RestoreTarget, id: string): Promise<void> {
  const aside = removedFolder(dataDir);
  await mkdir(aside, { mode: privateMode });
  await rename(memberDir(dataDir), memberDir(aside));
  if (walDir !== undefined) await unlinkPlaced(walDir, workFolder(walDir, id));
  await removeTree(aside);
}

/** Removes everything beside the result. */
export async function finishWork(target: RestoreTarget, id: string): Promise<void> {
  for (const [, path] of directoriesOf(target)) {
    await removeTree(workFolder(path, id));
    await removeMarks(path);
  }
}

/** Unlike a rename, a link never replaces a file of another restore. */
async function linkAll(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) await link(join(from, name), join(to, name));
  await syncPath(to);
}

/** Files that are missing, or in the way, are a Conflict: another restore has taken over the target. */
async function conflictIfMissing<T>({ dataDir }: RestoreTarget, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!["ENOENT", "EEXIST", "ENOTEMPTY"].includes(codeOf(error))) throw error;
    throw conflictIn(dataDir, error);
  }
}

/** Throws Conflict when another restore has taken over. */
export async function throwIfTakenOver(target: RestoreTarget, id: string): Promise<void> {
  for (const [, path] of directoriesOf(target))
    if (!(await pathExists(heldMark(workFolder(path, id))))) throw conflictIn(path);
}

function conflictIn(directory: string, cause?: unknown): OperatorError {
  return new OperatorError("Conflict", `another restore is using ${directory}; this one was cancelled`, {
    hint: "run one restore of a directory at a time",
    cause,
  });
}

/**
 * Removes the work folders of the restore `id`, and directories that restores created and that none uses any more.
 * `created`: those that this one created. The restore tool may create one again that another restore has removed.
 */
export async function endWork(
  target: RestoreTarget,
  id: string,
  created: ReadonlySet<string> = new Set(),
): Promise<void> {
  for (const [, path] of directoriesOf(target)) {
    await removeTree(workFolder(path, id));
    await leaveDirectory(path, created);
  }
}
