import { randomBytes } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { link, lstat, mkdir, open, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { hex8 } from "../../core/hex.ts";
import { classifyFile, errnoOf } from "./errors.ts";
import { fileChunks } from "./read.ts";
import { interruptible, throwIfAborted } from "../interruptible.ts";
import type { PutOptions, StoredObject } from "../store.ts";

const privateFile = 0o600;
const privateDirectory = 0o700;

/** The place of an object, and the beginning of messages about it. */
interface Target {
  /** The store's directory, links resolved. */
  root: string;
  name: string;
  doing: string;
}

/**
 * Writes a temporary file in the object's directory, syncs it, reads it again and links it to the object's name. The
 * link fails when the name exists.
 */
export async function putFile(
  target: Target,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: PutOptions,
): Promise<StoredObject> {
  const { root, name, doing } = target;
  const file = join(root, name);
  await makeDirectories(target);
  const temporary = join(dirname(file), temporaryName(basename(file)));
  try {
    const sent = await write(temporary, source, { ...options, doing });
    try {
      await readBack(temporary, sent, { signal: options.signal, doing });
      throwIfAborted(options.signal);
      await commit(temporary, file, doing);
    } catch (error) {
      throw ofRemovedFile(error, doing);
    }
    return { name, size: sent.size, crc32c: hex8(sent.crc), proof: "ReadBack" };
  } finally {
    await unlink(temporary).catch(() => {});
  }
}

/** One directory at a time, so that none is created behind a symbolic link. */
async function makeDirectories({ root, name, doing }: Target): Promise<void> {
  let folder = root;
  for (const segment of name.split("/").slice(0, -1)) {
    const parent = folder;
    folder = join(folder, segment);
    try {
      await mkdir(folder, { mode: privateDirectory });
      await syncDirectory(parent);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw classifyFile(error, doing);
    }
    const stats = await classifying(doing, lstat(folder));
    if (stats.isDirectory()) continue;
    throw new OperatorError(
      "InvalidConfiguration",
      `${doing}: ${folder} is ${stats.isSymbolicLink() ? "a symbolic link" : "a file"}, not a directory`,
      { hint: "replace it by a directory or a mount; links below the store's directory are not followed" },
    );
  }
}

async function write(
  temporary: string,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { doing, signal, onProgress }: PutOptions & { doing: string },
): Promise<{ size: number; crc: number }> {
  await using handle = await classifying(doing, open(temporary, "wx", privateFile));
  const sent = { size: 0, crc: 0 };
  for await (const chunk of interruptible(source, signal)) {
    await classifying(doing, writeWhole(handle, chunk));
    sent.crc = crc32c(chunk, sent.crc);
    sent.size += chunk.length;
    onProgress?.(sent.size);
  }
  await classifying(doing, handle.sync());
  return sent;
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, offset, chunk.length - offset);
    offset += bytesWritten;
  }
}

/** Throws VerificationFailed when the file holds other bytes than were sent. */
async function readBack(
  temporary: string,
  sent: { size: number; crc: number },
  { doing, signal }: { doing: string; signal: AbortSignal },
): Promise<void> {
  const read = { size: 0, crc: 0 };
  for await (const chunk of interruptible(fileChunks(temporary, doing), signal)) {
    read.crc = crc32c(chunk, read.crc);
    read.size += chunk.length;
  }
  if (read.size === sent.size && read.crc === sent.crc) return;
  throw new OperatorError(
    "VerificationFailed",
    `${doing}: read again, the file holds other bytes than were written`,
    { permanent: false, hint: "check the disk or the network file system" },
  );
}

/** Links the file to its name. Throws AlreadyExists when the name is taken. The link is durable when it returns. */
async function commit(temporary: string, file: string, doing: string): Promise<void> {
  try {
    await link(temporary, file);
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errno)) throw classifyFile(error, doing);
    throw new OperatorError(
      "InvalidConfiguration",
      `${doing}: the file system has no hard links (${errno})`,
      {
        hint: "use a POSIX file system or NFS; hard links protect backups from being overwritten",
        cause: error,
      },
    );
  }
  try {
    await syncDirectory(dirname(file));
  } catch (error) {
    await unlink(file).catch(() => {});
    throw classifyFile(error, doing);
  }
}

/** A temporary file that disappeared after it was written was removed by a sweep: the put can be tried again. */
function ofRemovedFile(error: unknown, doing: string): unknown {
  if (!(error instanceof OperatorError && error.code === "NotFound")) return error;
  return new OperatorError("StoreFailed", `${doing}: its temporary file was removed before it was finished`, {
    permanent: false,
    hint: "check whether another program deletes files in this directory",
    cause: error,
  });
}

export async function syncDirectory(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

/** Classifies the errors of a file system call. Errors of a source must not pass through it. */
async function classifying<T>(doing: string, call: Promise<T>): Promise<T> {
  return call.catch((error: unknown) => {
    throw classifyFile(error, doing);
  });
}

/** With a `~`, which no object's name contains. */
function temporaryName(base: string): string {
  return `.${base}~${randomBytes(8).toString("hex")}.part`;
}

/**
 * The name of the object that a temporary file was written for; undefined for any other file. Both are below the root.
 */
export function intendedName(name: string): string | undefined {
  const match = /^((?:.*\/)?)\.([^/~]+)~[0-9a-f]{16}\.part$/.exec(name);
  return match === null ? undefined : `${match[1]}${match[2]}`;
}
