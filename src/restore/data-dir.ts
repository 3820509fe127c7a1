import { randomBytes } from "node:crypto";
import { link, mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { chownAndSync, codeOf, ownerOf, syncParent, syncPath } from "./chown-and-sync.ts";
import { createDirectory, pathExists, privateMode, removeTree } from "./directories.ts";
import { writeMarker } from "./marker.ts";
import { checkEmpty } from "./target.ts";
import {
  directoriesOf,
  isWorkFolder,
  memberDir,
  type RestoreTarget,
  workFolder,
  workLayout,
} from "./work-layout.ts";

/**
 * Creates the work folders of the restore `id`, and removes those of any other restore. Nothing in the target looks
 * like data until `placeWork`. Of two restores at once the later one takes over, unless the earlier one has committed.
 */
export async function beginWork(target: RestoreTarget, id: string): Promise<void> {
  for (const [what, path] of directoriesOf(target)) {
    const refused = (action: string) => (error: unknown) => {
      throw new OperatorError("Refused", `${what} ${path} cannot be ${action}: ${codeOf(error)}`, {
        hint: "create it for etcd's user, or run this command as root",
        cause: error,
      });
    };
    await createDirectory(path).catch(refused("created"));
    await removeOtherWork(path).catch(refused("written"));
    // A restore that committed meanwhile has either lost its files by now, or its data shows here.
    await checkEmpty(what, path);
    await mkdir(workFolder(path, id), { mode: privateMode }).catch(refused("written"));
  }
}

/** Renames each work folder before removing it, so that a restore still running there loses all files at once. */
async function removeOtherWork(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!isWorkFolder(name)) continue;
    const aside = workFolder(directory, randomBytes(8).toString("hex"));
    await rename(join(directory, name), aside);
    await removeTree(aside);
  }
}

/** Syncs the result, writes the marker and puts both in place. After a crash the whole member is there, or nothing. */
export async function commitWork(target: RestoreTarget, id: string, marker: object): Promise<void> {
  await syncWork(target, id, marker);
  await placeWork(target, id, marker);
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
    if (work.walDir === undefined) await writeMarker(work.dataDir, marker);
    await chownAndSync(member, await ownerOf(target.dataDir));
    if (target.walDir !== undefined && work.walDir !== undefined)
      await chownAndSync(work.walDir, await ownerOf(target.walDir));
  });
}

/**
 * Renames the restored `member` into place: until then etcd takes the directory for a new member. A WAL that lies apart
 * is placed after it, and the marker last: with the WAL alone etcd would start without data.
 */
export async function placeWork(target: RestoreTarget, id: string, marker: object): Promise<void> {
  const work = workLayout(target, id);
  const member = memberDir(target.dataDir);
  const restored = memberDir(work.dataDir);
  await conflictIfMissing(target, () => rename(restored, member));
  await syncPath(target.dataDir);
  if (target.walDir !== undefined && work.walDir !== undefined) {
    const [from, to] = [work.walDir, target.walDir];
    await conflictIfMissing(target, () => linkAll(from, to)).catch(async (error: unknown) => {
      await rename(member, restored);
      throw error;
    });
    await writeMarker(target.dataDir, marker);
    await chownAndSync(member, await ownerOf(target.dataDir));
  }
  for (const [, path] of directoriesOf(target)) {
    await syncParent(path);
    await removeTree(workFolder(path, id));
  }
}

/** Links all files or none. Unlike a rename, a link never replaces a file of another restore. */
async function linkAll(from: string, to: string): Promise<void> {
  const linked: string[] = [];
  try {
    for (const name of await readdir(from)) {
      await link(join(from, name), join(to, name));
      linked.push(join(to, name));
    }
    await syncPath(to);
  } catch (error) {
    for (const path of linked) await rm(path, { force: true });
    throw error;
  }
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

export function conflictIn(directory: string, cause?: unknown): OperatorError {
  return new OperatorError("Conflict", `another restore is using ${directory}; this one was cancelled`, {
    hint: "run one restore of a directory at a time",
    cause,
  });
}

/** Removes the work folders of the restore `id`. */
export async function endWork(target: RestoreTarget, id: string): Promise<void> {
  for (const [, path] of directoriesOf(target)) await removeTree(workFolder(path, id));
}
