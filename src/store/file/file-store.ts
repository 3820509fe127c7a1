import { randomUUID } from "node:crypto";
import { lstat, realpath, stat, unlink } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { OperatorError } from "../../core/errors.ts";
import { classifyFile, errnoOf } from "./errors.ts";
import { intendedName, putFile, syncDirectory } from "./put.ts";
import { fileChunks } from "./read.ts";
import { walkFiles, walkFolders } from "./walk.ts";
import { boundsOf } from "../byte-range.ts";
import { interruptible, throwIfAborted } from "../interruptible.ts";
import { checkObjectName, checkPrefix, isObjectName } from "../object-name.ts";
import { fileUrl } from "./url.ts";
import type {
  Capabilities,
  GetOptions,
  ListOptions,
  ObjectInfo,
  PutOptions,
  Store,
  StoredObject,
  SweepOptions,
} from "../store.ts";

/**
 * A store in an existing directory, such as a mounted volume. Symbolic links below it are not followed: files behind
 * them do not belong to the store.
 */
export function createFileStore({ path }: { path: string }): Store {
  if (!isAbsolute(path)) {
    throw new OperatorError("InvalidConfiguration", `${path} is not an absolute path`, {
      hint: "give the whole path, such as file:///backups",
    });
  }
  return {
    url: fileUrl(path),
    location: fileUrl(path),
    probe: (options) => probe(path, options),
    put: (name, source, options) => put(path, name, source, options),
    get: (name, options) => read(path, name, options),
    head: (name, { signal }) => head(path, name, signal),
    list: (prefix, options) => list(path, prefix, options),
    folders: (folder, { signal }) => folders(path, folder, signal),
    remove: (name, { signal }) => remove(path, name, signal),
    sweep: (prefix, options) => sweep(path, prefix, options),
    async [Symbol.asyncDispose]() {},
  };
}

/** The store's directory with links resolved: the directory itself may be a link. */
async function rootOf(path: string): Promise<string> {
  try {
    const root = await realpath(path);
    if (!(await stat(root)).isDirectory()) {
      throw new OperatorError("InvalidConfiguration", `${path} is not a directory`);
    }
    return root;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw classifyFile(error, `opening ${path}`);
    throw new OperatorError("NotFound", `the store's directory ${path} does not exist`, {
      hint: "create it, or mount the volume there",
    });
  }
}

/** Whether the directories of an object's path are no symbolic links. Throws what realpath throws. */
async function hasNoLinks(root: string, name: string): Promise<boolean> {
  const folder = dirname(join(root, name));
  return (await realpath(folder)) === folder;
}

async function head(path: string, name: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
  checkObjectName(name);
  throwIfAborted(signal);
  const root = await rootOf(path);
  try {
    const stats = await lstat(join(root, name));
    if (!stats.isFile() || !(await hasNoLinks(root, name))) return undefined;
    return { name, size: stats.size, modified: stats.mtime };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw classifyFile(error, `looking up ${join(path, name)}`);
  }
}

function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENOTDIR";
}

async function* list(
  path: string,
  prefix: string,
  { signal, startAfter = "" }: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  checkPrefix(prefix);
  for await (const { name, stats } of walkFiles(await rootOf(path), prefix, signal, startAfter)) {
    if (isObjectName(name)) yield { name, size: stats.size, modified: stats.mtime };
  }
}

async function* folders(
  path: string,
  folder: string,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  checkPrefix(folder);
  for await (const name of walkFolders(await rootOf(path), folder, signal)) {
    if (isObjectName(name.slice(0, -1))) yield name;
  }
}

async function remove(path: string, name: string, signal: AbortSignal): Promise<void> {
  if ((await head(path, name, signal)) === undefined) return;
  const file = join(await rootOf(path), name);
  try {
    await unlink(file);
    await syncDirectory(dirname(file));
  } catch (error) {
    if (!isMissing(error)) throw classifyFile(error, `removing ${join(path, name)}`);
  }
}

async function* read(
  path: string,
  name: string,
  { signal, range }: GetOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const info = await head(path, name, signal);
  if (info === undefined)
    throw new OperatorError("NotFound", `reading ${join(path, name)}: the object does not exist`);
  const doing = `reading ${join(path, name)}`;
  const { offset, end } = boundsOf(range, info.size, doing);
  // A whole read goes on to the end of the file, to notice a file that grows.
  const bounds = range === undefined ? {} : { offset, end };
  let bytes = 0;
  for await (const chunk of interruptible(
    fileChunks(join(await rootOf(path), name), doing, bounds),
    signal,
  )) {
    bytes += chunk.length;
    yield chunk;
  }
  if (bytes === end - offset) return;
  throw new OperatorError("VerificationFailed", `${doing}: ${bytes} bytes read of ${end - offset}`, {
    permanent: false,
    hint: "read it again; another program changed the file meanwhile",
  });
}

async function put(
  path: string,
  name: string,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: PutOptions,
): Promise<StoredObject> {
  const doing = `writing ${join(path, name)}`;
  if ((await head(path, name, options.signal)) !== undefined) {
    throw new OperatorError("AlreadyExists", `${doing}: an object of this name exists already`);
  }
  return putFile({ root: await rootOf(path), name, doing }, source, options);
}

/** The last write of a temporary file counts: a file that still grows belongs to a put that is running. */
async function sweep(
  path: string,
  prefix: string,
  { before, signal, only = () => true, dryRun = false, onSwept }: SweepOptions,
): Promise<number> {
  checkPrefix(prefix);
  let count = 0;
  const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  for await (const file of walkFiles(await rootOf(path), folder, signal)) {
    const intended = intendedName(file.name);
    if (intended?.startsWith(prefix) !== true || !only(intended) || file.stats.mtime >= before) continue;
    try {
      if (!dryRun) await unlink(file.path);
      count += 1;
      onSwept?.({ name: intended, begun: file.stats.mtime, size: file.stats.size });
    } catch (error) {
      if (!isMissing(error)) throw classifyFile(error, `removing ${file.path}`);
    }
  }
  return count;
}

async function probe(path: string, options: { write: boolean; signal: AbortSignal }): Promise<Capabilities> {
  const { write, signal } = options;
  const entries = walkFiles(await rootOf(path), "", signal);
  await entries.next();
  await entries.return();
  if (!write) return { conditionalWrites: false, checksums: false, objectLock: false };
  const name = `.probe-${randomUUID()}`;
  const bytes = [Buffer.from("written to find out what this store can do\n")];
  await put(path, name, bytes, { signal });
  await remove(path, name, signal);
  return { conditionalWrites: true, checksums: false, objectLock: false };
}
