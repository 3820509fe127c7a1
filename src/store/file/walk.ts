import type { Dirent, Stats } from "node:fs";
import { lstat, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { classifyFile, errnoOf } from "./errors.ts";
import { throwIfAborted } from "../interruptible.ts";

export interface FoundFile {
  /** The path below the root, with `/`. */
  name: string;
  path: string;
  stats: Stats;
}

/**
 * The regular files below `root` whose name begins with `prefix`, in ascending order of whole names. Holds the entries
 * of one directory a level in memory. Symbolic links are neither followed nor yielded. A file or directory that is
 * removed meanwhile is left out; a root that does not exist is an error. With `startAfter` only names that sort after it;
 * the others are not looked at.
 */
export async function* walkFiles(
  root: string,
  prefix: string,
  signal: AbortSignal,
  startAfter = "",
): AsyncGenerator<FoundFile, void, undefined> {
  yield* walk(root, "", { prefix, startAfter }, signal);
}

/** The folders directly in `folder`, with a `/` at the end, in ascending order. None when it does not exist. */
export async function* walkFolders(
  root: string,
  folder: string,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  throwIfAborted(signal);
  if (folder !== "") {
    const path = join(root, folder);
    const target = await unlessGone(realpath(path), path);
    // A symbolic link on the way is not followed.
    if (target === undefined || `${target}/` !== path) return;
  }
  for (const entry of await entries(root, folder)) if (entry.isDirectory()) yield `${folder}${entry.name}/`;
}

async function* walk(
  root: string,
  below: string,
  wanted: { prefix: string; startAfter: string },
  signal: AbortSignal,
): AsyncGenerator<FoundFile, void, undefined> {
  const { prefix, startAfter } = wanted;
  throwIfAborted(signal);
  for (const entry of await entries(root, below)) {
    throwIfAborted(signal);
    const name = `${below}${entry.name}`;
    if (entry.isDirectory()) {
      const folder = `${name}/`;
      // All names in a folder sort before `startAfter` when the folder does, unless `startAfter` is in it.
      const mayHoldLater = folder > startAfter || startAfter.startsWith(folder);
      const mayHoldPrefix = folder.startsWith(prefix) || prefix.startsWith(folder);
      if (mayHoldLater && mayHoldPrefix) yield* walk(root, folder, wanted, signal);
    } else if (entry.isFile() && name.startsWith(prefix) && name > startAfter) {
      const path = join(root, name);
      const stats = await unlessGone(lstat(path), path);
      if (stats?.isFile() === true) yield { name, path, stats };
    }
  }
}

/** Sorted by whole names: a directory sorts with its `/`, so that `a-b` comes before `a/b`. */
async function entries(root: string, below: string): Promise<Dirent[]> {
  const path = join(root, below);
  const reading = readdir(path, { withFileTypes: true });
  const unsorted = below === "" ? await classifying(reading, path) : await unlessGone(reading, path);
  const key = (entry: Dirent) => (entry.isDirectory() ? `${entry.name}/` : entry.name);
  return (unsorted ?? []).toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

async function classifying<T>(reading: Promise<T>, path: string): Promise<T> {
  return reading.catch((error: unknown) => {
    throw classifyFile(error, `reading ${path}`);
  });
}

async function unlessGone<T>(reading: Promise<T>, path: string): Promise<T | undefined> {
  return reading.catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw classifyFile(error, `reading ${path}`);
  });
}
