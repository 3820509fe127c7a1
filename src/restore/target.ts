import { readdir, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { bytes } from "../core/human.ts";
import { codeOf, ownerOf } from "./chown-and-sync.ts";
import { linksOfUncommitted } from "./other-work.ts";
import { directoriesOf, isCreatedMark, isWorkFolder, type RestoreTarget } from "./work-layout.ts";

/** etcd allocates its first WAL segment, of this many bytes, at once. */
const walBytes = 64 * 1024 * 1024;

/** Throws Refused when the target holds anything that a restore could destroy or mix with. Changes nothing. */
export async function checkTarget(target: RestoreTarget): Promise<void> {
  for (const [what, path] of directoriesOf(target)) await checkEmpty(what, path, target.dataDir);
}

/** Throws Refused unless the directory is missing or empty. `what` names it in the message. */
export async function checkEmpty(what: string, path: string, dataDir: string): Promise<void> {
  const entries = (await entriesOf(what, path)) ?? [];
  const others = entries.filter((name) => !isIgnored(name));
  const leftOver = others.length === 0 ? [] : await linksOfUncommitted(path, dataDir);
  const foreign = others.filter((name) => !leftOver.includes(name));
  if (foreign.length === 0) return;
  const shown = foreign.slice(0, 3).join(", ") + (foreign.length > 3 ? ", …" : "");
  throw new OperatorError("Refused", `${what} ${path} is not empty (${shown}); nothing in it was changed`, {
    hint: `stop the etcd that uses it and move it away first: ${await moveCommand(path)}`,
  });
}

/** A shell command that moves the directory away and, for another owner, creates an empty one in its place. */
async function moveCommand(path: string): Promise<string> {
  const { uid, gid } = await ownerOf(path);
  const recreate = uid === process.getuid?.() ? "" : ` && install -d -m 700 -o ${uid} -g ${gid} ${path}`;
  return `mv ${path} ${path}.old${recreate}`;
}

/** A new file system has lost+found. A restore that was killed leaves a work folder and a mark. */
function isIgnored(name: string): boolean {
  return name === "lost+found" || isWorkFolder(name) || isCreatedMark(name);
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
 * Throws Refused when the targets do not fit on their file systems together: the data and the WAL of each, and the
 * snapshot, which lies in the first target's data directory. `snapshotBytes` is the size of the database.
 */
export async function checkSpace(targets: readonly RestoreTarget[], snapshotBytes: number): Promise<void> {
  const disks = new Map<number, { paths: string[]; need: number; free: number }>();
  const add = async (path: string, need: number): Promise<void> => {
    const existing = await nearestExisting(path);
    const { dev } = await stat(existing);
    const { bavail, bsize } = await statfs(existing);
    const disk = disks.get(dev) ?? { paths: [], need: 0, free: bavail * bsize };
    disk.paths.push(path);
    disk.need += need;
    disks.set(dev, disk);
  };
  for (const [index, { dataDir, walDir }] of targets.entries()) {
    await add(dataDir, snapshotBytes * (index === 0 ? 2 : 1) + (walDir === undefined ? walBytes : 0));
    if (walDir !== undefined) await add(walDir, walBytes);
  }
  for (const { paths, need, free } of disks.values()) {
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
    const stats = await stat(at).catch(() => undefined);
    if (stats !== undefined || at === dirname(at)) return at;
  }
}
