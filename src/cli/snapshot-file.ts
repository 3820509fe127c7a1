import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { type SnapshotFileReading, readSnapshot } from "../snapshot/read.ts";
import { unpack } from "../backup/unpack.ts";
import { usage } from "./usage.ts";

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/**
 * Reads a snapshot file on this machine, plain or zstd, once from front to back. `onProgress` gets the file's own bytes,
 * `write` the plain ones, before they are known to be right.
 */
export async function readSnapshotFile(
  path: string,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
  write: (chunk: Uint8Array) => Promise<void> = async () => {},
): Promise<SnapshotFileReading> {
  const { size, compressed } = await look(path);
  const bytes = createReadStream(path, { highWaterMark: 1024 * 1024, signal });
  let done = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      done += chunk.length;
      onProgress(done, size);
      yield chunk;
    }
  }
  try {
    const read = (plain: AsyncIterable<Uint8Array>) => readSnapshot(writing(plain, write), { signal });
    return compressed ? await unpack(counted(), "Zstd", signal, read) : await read(counted());
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Error && "syscall" in error) {
      throw new OperatorError("Internal", `${path} cannot be read: ${error.message}`, { cause: error });
    }
    if (compressed)
      throw new OperatorError("VerificationFailed", `${path}: the zstd data is damaged or truncated`, {
        cause: error,
      });
    throw error;
  }
}

/** Bytes of the plain snapshot as far as they are known before it is read: a compressed file tells its own size. */
export async function snapshotFileSize(path: string): Promise<number> {
  return (await look(path)).size;
}

async function* writing(
  plain: AsyncIterable<Uint8Array>,
  write: (chunk: Uint8Array) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of plain) {
    await write(chunk);
    yield chunk;
  }
}

async function look(path: string): Promise<{ size: number; compressed: boolean }> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const stat = await file.stat();
    if (!stat.isFile()) throw usage(`${path} is not a file`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return { size: stat.size, compressed: bytesRead === 4 && buffer.equals(zstdMagic) };
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new OperatorError(
      code === "ENOENT" ? "NotFound" : "Usage",
      `${path} cannot be read: ${code === "ENOENT" ? "there is no such file, and it is not a backup's name" : code}`,
      {
        hint: "give a snapshot file, a backup's URL, or a backup's name with --store",
      },
    );
  } finally {
    await file?.close();
  }
}
