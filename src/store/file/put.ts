import { randomBytes } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { link, lstat, mkdir, open, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { crcHex } from "../checksum.ts";
import { classifyFile, errnoOf } from "./errors.ts";
import { fileChunks } from "./read.ts";
import { interruptible, throwIfAborted } from "../interruptible.ts";
import type { PutOptions, StoredObject } from "../store.ts";

const privateFile = 0o600;
const privateDirectory = 0o700;

/** Where an object goes, and how messages about it begin. */
interface Target {
  /** The store's directory, links resolved. */
  root: string;
  name: string;
  doing: string;
}

/**
 * Writes a temporary file beside the object's place, syncs it, reads it again, and links it to the name, which fails
 * where that exists.
 */
export async function putFile(
  target: Target,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: PutOptions,
): Promise<StoredObject> {
  const { root, name, doing } = target;
  const file = join(root, name);
  await makeFolders(target);
  const temporary = join(dirname(file), temporaryName(basename(file)));
  try {
    const sent = await write(temporary, source, { ...options, doing });
    try {
      await compare(temporary, sent, { signal: options.signal, doing });
      throwIfAborted(options.signal);
      await commit(temporary, file, doing);
    } catch (error) {
      throw swept(error, doing);
    }
    return { name, size: sent.size, crc32c: crcHex(sent.crc), proof: "ReadBack" };
  } finally {
    await unlink(temporary).catch(() => {});
  }
}

/** Step by step, so that nothing is made behind a symbolic link. */
async function makeFolders({ root, name, doing }: Target): Promise<void> {
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
    const found = await guarding(doing, lstat(folder));
    if (found.isDirectory()) continue;
    throw new OperatorError(
      "InvalidConfiguration",
      `${doing}: ${folder} is ${found.isSymbolicLink() ? "a symbolic link" : "a file"}, not a directory`,
      { hint: "links below the store's directory are not followed: replace it by a directory or a mount" },
    );
  }
}

async function write(
  temporary: string,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { doing, signal, onProgress }: PutOptions & { doing: string },
): Promise<{ size: number; crc: number }> {
  await using handle = await guarding(doing, open(temporary, "wx", privateFile));
  const sent = { size: 0, crc: 0 };
  for await (const chunk of interruptible(source, signal)) {
    await guarding(doing, writeWhole(handle, chunk));
    sent.crc = crc32c(chunk, sent.crc);
    sent.size += chunk.length;
    onProgress?.(sent.size);
  }
  await guarding(doing, handle.sync());
  return sent;
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, offset, chunk.length - offset);
    offset += bytesWritten;
  }
}

async function compare(
  temporary: string,
  sent: { size: number; crc: number },
  { doing, signal }: { doing: string; signal: AbortSignal },
): Promise<void> {
  const found = { size: 0, crc: 0 };
  for await (const chunk of interruptible(fileChunks(temporary, doing), signal)) {
    found.crc = crc32c(chunk, found.crc);
    found.size += chunk.length;
  }
  if (found.size === sent.size && found.crc === sent.crc) return;
  throw new OperatorError(
    "VerificationFailed",
    `${doing}: read again, it holds other bytes than were written`,
    { permanent: false, hint: "check the disk or the network file system" },
  );
}

/** Gives the file its name, unless that is taken; durable when it returns. */
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
        hint: "they are what keeps backups from being overwritten: use a POSIX file system or NFS",
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

/** What was written whole and is not there any more was taken by a sweeper: it can be written again. */
function swept(error: unknown, doing: string): unknown {
  if (!(error instanceof OperatorError && error.code === "NotFound")) return error;
  return new OperatorError("StoreFailed", `${doing}: its temporary file was removed before it was finished`, {
    permanent: false,
    hint: "is there a second program that tidies up in this directory?",
    cause: error,
  });
}

export async function syncDirectory(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

/** Classifies what a file system call throws; what a source throws must not come through here. */
async function guarding<T>(doing: string, call: Promise<T>): Promise<T> {
  return call.catch((error: unknown) => {
    throw classifyFile(error, doing);
  });
}

/** With a `~`, as no object's name has. */
function temporaryName(base: string): string {
  return `.${base}~${randomBytes(8).toString("hex")}.part`;
}

/** The object that a temporary file, named from the root on, was to become; undefined for any other file. */
export function intendedName(name: string): string | undefined {
  const match = /^((?:.*\/)?)\.([^/~]+)~[0-9a-f]{16}\.part$/.exec(name);
  return match === null ? undefined : `${match[1]}${match[2]}`;
}
