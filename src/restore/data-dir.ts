import { randomBytes } from "node:crypto";
import { link, lstat, mkdir, readFile, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { codeOf, ownerOf, settle, sync, syncParent } from "./chown-and-sync.ts";
import { type Target, checkEmpty, checkTarget, directoriesOf, workPrefix } from "./target.ts";

/** What is written beside the data: a directory that holds it was made by a restore that came to its end. */
export const markerName = "restored.json";

const privateMode = 0o700;

/** A target under work: the files of one restore, in a folder of the target itself, so that giving them their place is a rename. */
export interface Work {
  /** For the snapshot file, and for the tool: these do not exist when work begins. */
  readonly snapshot: string;
  readonly dataDir: string;
  readonly walDir: string | undefined;
}

/** Where the work of the restore `id` is done. The same in every process that takes part in it. */
export function workOf({ dataDir, walDir }: Target, id: string): Work {
  const data = join(dataDir, `${workPrefix}${id}`);
  return {
    snapshot: join(data, "snapshot.db"),
    dataDir: join(data, "data"),
    walDir: walDir === undefined ? undefined : join(walDir, `${workPrefix}${id}`, "wal"),
  };
}

/**
 * Makes room for the work, in the place of any that was killed before. Nothing in the target looks like data until
 * `commitWork`. Of two restores at once the later one takes the place of the earlier, as long as that has not committed.
 * Beside data that is "placed" the same restore may work once more, for nothing.
 */
export async function beginWork(
  target: Target,
  id: string,
  found: "fresh" | "placed" = "fresh",
): Promise<void> {
  for (const [what, path] of directoriesOf(target)) {
    const refused = (doing: string) => (error: unknown) => {
      throw new OperatorError("Refused", `${what} ${path} cannot be ${doing}: ${codeOf(error)}`, {
        hint: "make it for the user who is to run etcd, or run this as root",
        cause: error,
      });
    };
    await makeDirectory(path).catch(refused("made"));
    await takeOver(path).catch(refused("written"));
    // Who was committing meanwhile has either lost its files by now or is to be seen.
    if (found === "fresh") await checkEmpty(what, path);
    await mkdir(join(path, `${workPrefix}${id}`), { mode: privateMode }).catch(refused("written"));
  }
}

async function makeDirectory(path: string): Promise<void> {
  for (const missing of (await missingFrom(path)).toReversed()) {
    await mkdir(missing, { mode: privateMode }).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await syncParent(missing);
  }
}

/** By a rename, so that a restore that still runs loses all its files at once. */
async function takeOver(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (!name.startsWith(workPrefix)) continue;
    const aside = join(path, `${workPrefix}${randomBytes(8).toString("hex")}`);
    await rename(join(path, name), aside);
    await remove(aside);
  }
}

/** Syncs everything, writes the marker, and gives it its place: after a crash there is the whole member or none. */
export async function commitWork(target: Target, id: string, marker: object): Promise<void> {
  await settleWork(target, id, marker);
  await placeWork(target, id, marker);
}

/** What can still fail is done before anything is given its place. */
async function settleWork(target: Target, id: string, marker: object): Promise<void> {
  const work = workOf(target, id);
  const member = join(work.dataDir, "member");
  if (!(await exists(member)) && (await exists(dirname(work.dataDir)))) {
    throw new OperatorError("Refused", `the tool ended well and made no ${member}`, {
      hint: "it has to run on this machine, and to see its directories",
    });
  }
  await unlessTaken(target, async () => {
    if (work.walDir === undefined) await writeMarker(member, marker);
    await settle(member, await ownerOf(target.dataDir));
    if (target.walDir !== undefined && work.walDir !== undefined)
      await settle(work.walDir, await ownerOf(target.walDir));
  });
}

/**
 * etcd takes a directory without `member` for a new one: the rename is the moment it becomes a restored one. A log that
 * lies apart comes after it, and then the marker: etcd would start with the log alone, and be empty.
 */
async function placeWork(target: Target, id: string, marker: object): Promise<void> {
  const work = workOf(target, id);
  const member = join(target.dataDir, "member");
  const atWork = join(work.dataDir, "member");
  await unlessTaken(target, () => rename(atWork, member));
  await sync(target.dataDir);
  if (target.walDir !== undefined && work.walDir !== undefined) {
    const { walDir } = work;
    await unlessTaken(target, () => placeLog(walDir, target.walDir ?? "")).catch(async (error: unknown) => {
      await rename(member, atWork);
      throw error;
    });
    await writeMarker(member, marker);
    await settle(member, await ownerOf(target.dataDir));
  }
  for (const [, path] of directoriesOf(target)) {
    await syncParent(path);
    await remove(join(path, `${workPrefix}${id}`));
  }
}

/** All of the files or none; never in the place of another's, as a rename would. */
async function placeLog(from: string, to: string): Promise<void> {
  const placed: string[] = [];
  try {
    for (const name of await readdir(from)) {
      await link(join(from, name), join(to, name));
      placed.push(join(to, name));
    }
    await sync(to);
  } catch (error) {
    for (const path of placed) await rm(path, { force: true });
    throw error;
  }
}

async function writeMarker(member: string, marker: object): Promise<void> {
  await writeFile(join(member, markerName), `${JSON.stringify(marker, undefined, 2)}\n`, { mode: 0o600 });
}

async function unlessTaken<T>({ dataDir }: Target, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!["ENOENT", "EEXIST", "ENOTEMPTY"].includes(codeOf(error))) throw error;
    throw taken(dataDir, error);
  }
}

function taken(dataDir: string, cause: unknown): OperatorError {
  return new OperatorError("Conflict", `another restore works in ${dataDir}; this one has given way`, {
    hint: "run one restore of a directory at a time",
    cause,
  });
}

/**
 * Leaves nothing of the work, and no directory that is empty now and did not exist before. What could not be removed is
 * in nobody's way: the next restore removes it.
 */
export async function endWork(target: Target, id: string, existed: boolean): Promise<void> {
  for (const [, path] of directoriesOf(target)) {
    await remove(join(path, `${workPrefix}${id}`));
    if (!existed) await rmdir(path).catch(() => {});
  }
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
}

/** What the restore that filled this directory wrote beside the data; undefined when there is none. */
export async function readMarker(dataDir: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(join(dataDir, "member", markerName), "utf8")) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** A target under work that is as it was before once it is disposed of, unless the work was committed. */
export interface PreparedTarget extends Work, AsyncDisposable {
  /** Everything that `commit` does but for the last steps, which hardly fail. */
  settle(marker: object): Promise<void>;
  /** After `settle`, with the same marker. */
  commit(marker: object): Promise<void>;
  /** Throws Conflict when another restore has taken the target over, which explains every other error. */
  checkOurs(): Promise<void>;
}

/** Checks the target and begins the work. Throws Refused, and then nothing has changed. */
export async function prepareTarget(target: Target): Promise<PreparedTarget> {
  await checkTarget(target);
  const id = randomBytes(4).toString("hex");
  const missing = (await Promise.all(directoriesOf(target).map(([, path]) => missingFrom(path)))).flat();
  const end = async (): Promise<void> => {
    await endWork(target, id, true);
    // Those that hold data now, or another's work, stay.
    for (const path of missing) await rmdir(path).catch(() => {});
  };
  try {
    await beginWork(target, id);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    ...workOf(target, id),
    settle: (marker) => settleWork(target, id, marker),
    commit: (marker) => placeWork(target, id, marker),
    async checkOurs() {
      for (const [, path] of directoriesOf(target))
        if (!(await exists(join(path, `${workPrefix}${id}`)))) throw taken(path, undefined);
    },
    [Symbol.asyncDispose]: end,
  };
}

/** The directories that would have to be made for this one, itself first. */
async function missingFrom(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await exists(at)); at = dirname(at)) missing.push(at);
  return missing;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
