import { readdir, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { bytes } from "../core/human.ts";
import { codeOf, ownerOf } from "./chown-and-sync.ts";

/** Where a member is to live. */
export interface Target {
  dataDir: string;
  /** When the log lies apart, often on a disk of its own. */
  walDir?: string;
}

export const workPrefix = ".restoring-";
/** etcd allocates its first log segment at once. */
const walBytes = 64 * 1024 * 1024;

/** Throws Refused when there is anything that a restore could destroy or be mixed with. Changes nothing. */
export async function checkTarget(target: Target): Promise<void> {
  for (const [what, path] of directoriesOf(target)) await checkEmpty(what, path);
}

export async function checkEmpty(what: string, path: string): Promise<void> {
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

export function directoriesOf({ dataDir, walDir }: Target): [what: string, path: string][] {
  return [
    ["data directory", dataDir],
    ...(walDir === undefined ? [] : [["WAL directory", walDir] as [string, string]]),
  ];
}
