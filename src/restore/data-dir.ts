import { randomBytes } from "node:crypto";
import {
  chown,
  link,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { bytes } from "../core/human.ts";

/** Where a member is to live. */
export interface Target {
  dataDir: string;
  /** When the log lies apart, often on a disk of its own. */
  walDir?: string;
}

/** What is written beside the data: a directory that holds it was made by a restore that came to its end. */
export const markerName = "restored.json";

const workPrefix = ".restoring-";
const privateMode = 0o700;
/** etcd allocates its first log segment at once. */
const walBytes = 64 * 1024 * 1024;

/** A target under work: the files of one restore, in a folder of the target itself, so that giving them their place is a rename. */
export interface Work {
  /** For the snapshot file, and for the tool: these do not exist when work begins. */
  readonly snapshot: string;
  readonly dataDir: string;
  readonly walDir: string | undefined;
}

/** Throws Refused when there is anything that a restore could destroy or be mixed with. Changes nothing. */
export async function checkTarget(target: Target): Promise<void> {
  for (const [what, path] of directoriesOf(target)) await checkEmpty(what, path);
}

async function checkEmpty(what: string, path: string): Promise<void> {
  const entries = await entriesOf(what, path);
  const found = (entries ?? []).filter((name) => !isNobodys(name));
  if (found.length === 0) return;
  const shown = found.slice(0, 3).join(", ") + (found.length > 3 ? ", …" : "");
  throw new OperatorError("Refused", `${what} ${path} is not empty (${shown}); nothing in it was touched`, {
    hint: `stop the etcd that uses it and move it away first: ${await movingAway(path)}`,
  });
}

/** A directory that we make is ours: where etcd runs as somebody else, an empty one of theirs has to be there. */
async function movingAway(path: string): Promise<string> {
  const { uid, gid } = await ownerOf(path);
  const again = uid === process.getuid?.() ? "" : ` && install -d -m 700 -o ${uid} -g ${gid} ${path}`;
  return `mv ${path} ${path}.old${again}`;
}

/** A fresh file system has the one, a restore that was killed leaves the other. */
function isNobodys(name: string): boolean {
  return name === "lost+found" || name.startsWith(workPrefix);
}

async function entriesOf(what: string, path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return undefined;
    throw new OperatorError(
      "Refused",
      code === "ENOTDIR" ? `${what} ${path} is not a directory` : `${what} ${path} cannot be read: ${code}`,
      { cause: error },
    );
  }
}

/**
 * Throws Refused when the targets would not fit on their file systems together: the data, the logs, and with the first
 * of them the snapshot itself. Bytes.
 */
export async function checkSpace(targets: readonly Target[], snapshotBytes: number): Promise<void> {
  const needs = new Map<number, { paths: string[]; need: number; free: number }>();
  const add = async (path: string, need: number): Promise<void> => {
    const there = await nearestExisting(path);
    const { dev } = await stat(there);
    const { bavail, bsize } = await statfs(there);
    const disk = needs.get(dev) ?? { paths: [], need: 0, free: bavail * bsize };
    disk.paths.push(path);
    disk.need += need;
    needs.set(dev, disk);
  };
  for (const [index, { dataDir, walDir }] of targets.entries()) {
    await add(dataDir, snapshotBytes * (index === 0 ? 2 : 1) + (walDir === undefined ? walBytes : 0));
    if (walDir !== undefined) await add(walDir, walBytes);
  }
  for (const { paths, need, free } of needs.values()) {
    if (free >= need) continue;
    throw new OperatorError(
      "Refused",
      `not enough disk space: ${paths.join(", ")} need ${bytes(need)}, and ${bytes(free)} are free`,
      { hint: "free disk space, or choose another disk" },
    );
  }
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found !== undefined || at === dirname(at)) return at;
  }
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

function directoriesOf({ dataDir, walDir }: Target): [what: string, path: string][] {
  return [
    ["data directory", dataDir],
    ...(walDir === undefined ? [] : [["WAL directory", walDir] as [string, string]]),
  ];
}

interface Owner {
  uid: number;
  gid: number;
}

async function ownerOf(path: string): Promise<Owner> {
  const { uid, gid } = await stat(path);
  return { uid, gid };
}

/**
 * Everything below is given to the directory's owner, who is to run etcd, and is on the disk when this returns. Who is
 * not allowed to give files away is to run etcd himself.
 */
async function settle(path: string, owner: Owner): Promise<void> {
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

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

/** A parent that may be passed through but not read cannot be synced by us. */
async function syncParent(path: string): Promise<void> {
  await sync(dirname(resolve(path))).catch((error: unknown) => {
    if (codeOf(error) !== "EACCES") throw error;
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
