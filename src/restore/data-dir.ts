import { randomBytes } from "node:crypto";
import {
  chown,
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
import { dirname, join } from "node:path";
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
    hint: `stop the etcd that uses it and move it away first: mv ${path} ${path}.old`,
  });
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

/** Throws Refused when the snapshot, its copy in the data directory and the log would not fit. */
export async function checkSpace(
  { dataDir, walDir }: Target,
  need: { snapshotBytes: number; withSnapshot: boolean },
): Promise<void> {
  const copies = need.withSnapshot ? 2 : 1;
  const data = need.snapshotBytes * copies + (walDir === undefined ? walBytes : 0);
  await checkFree(dataDir, data);
  if (walDir !== undefined) await checkFree(walDir, walBytes);
}

async function checkFree(path: string, need: number): Promise<void> {
  const there = await nearestExisting(path);
  const { bavail, bsize } = await statfs(there);
  const free = bavail * bsize;
  if (free >= need) return;
  throw new OperatorError(
    "Refused",
    `${path} needs ${bytes(need)} while it is restored, and ${bytes(free)} are free`,
    { hint: "free disk space, or choose another directory" },
  );
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

/** Makes room for the work, in the place of any that was killed before. Nothing in the target looks like data until `commitWork`. */
export async function beginWork(target: Target, id: string): Promise<void> {
  for (const [what, path] of directoriesOf(target)) {
    await mkdir(path, { recursive: true, mode: privateMode }).catch((error: unknown) => {
      throw new OperatorError("Refused", `${what} ${path} cannot be made: ${codeOf(error)}`, {
        cause: error,
      });
    });
    for (const name of await readdir(path))
      if (name.startsWith(workPrefix)) await rm(join(path, name), { recursive: true });
    await mkdir(join(path, `${workPrefix}${id}`), { mode: privateMode }).catch((error: unknown) => {
      throw new OperatorError("Refused", `${what} ${path} cannot be written: ${codeOf(error)}`, {
        cause: error,
      });
    });
  }
}

/** Syncs everything, writes the marker, and gives it its place: after a crash there is the whole member or none. */
export async function commitWork(target: Target, id: string, marker: object): Promise<void> {
  const work = workOf(target, id);
  const member = join(work.dataDir, "member");
  await writeFile(join(member, markerName), `${JSON.stringify(marker, undefined, 2)}\n`, { mode: 0o600 });
  await settle(member, await ownerOf(target.dataDir));
  if (target.walDir !== undefined && work.walDir !== undefined) {
    await settle(work.walDir, await ownerOf(target.walDir));
    for (const name of await readdir(work.walDir))
      await rename(join(work.walDir, name), join(target.walDir, name));
    await sync(target.walDir);
  }
  // etcd takes a directory without `member` for a new one: this is the moment it becomes a restored one.
  await rename(member, join(target.dataDir, "member"));
  await sync(target.dataDir);
  await sync(dirname(target.dataDir));
}

/** Leaves nothing of the work, and no directory that is empty now and did not exist before. */
export async function endWork(target: Target, id: string, existed: boolean): Promise<void> {
  for (const [, path] of directoriesOf(target)) {
    await rm(join(path, `${workPrefix}${id}`), { recursive: true, force: true });
    if (!existed) await rmdir(path).catch(() => {});
  }
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
export async function prepareTarget(target: Target): Promise<PreparedTarget> {
  await checkTarget(target);
  const id = randomBytes(4).toString("hex");
  const existed = await stat(target.dataDir).then(
    () => true,
    () => false,
  );
  await beginWork(target, id);
  return {
    ...workOf(target, id),
    commit: (marker) => commitWork(target, id, marker),
    [Symbol.asyncDispose]: () => endWork(target, id, existed),
  };
}

export interface PreparedTarget extends Work, AsyncDisposable {
  commit(marker: object): Promise<void>;
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

/** Everything below is given to the directory's owner, who is to run etcd, and is on the disk when this returns. */
async function settle(path: string, owner: Owner): Promise<void> {
  const { uid, gid } = await lstat(path);
  if (uid !== owner.uid || gid !== owner.gid) await chown(path, owner.uid, owner.gid);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await settle(child, owner);
    else {
      const found = await lstat(child);
      if (found.uid !== owner.uid || found.gid !== owner.gid) await chown(child, owner.uid, owner.gid);
      await sync(child);
    }
  }
  await sync(path);
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
