import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { type SnapshotFileReading, readSnapshot } from "../snapshot/read.ts";
import { unpack } from "../backup/unpack.ts";
import { usage } from "./usage.ts";

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/**
 * Reads a snapshot file on this machine, plain or zstd, once from front to back. `onProgress` gets the bytes that were read
 * of the file. `write` gets the plain bytes before they are verified. Throws Usage or NotFound for a file that cannot be
 * opened, VerificationFailed for damaged zstd data, and what `write` threw.
 */
export async function readSnapshotFile(
  path: string,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
  write: (chunk: Uint8Array) => Promise<void> = async () => {},
): Promise<SnapshotFileReading> {
  const { size, isCompressed } = await inspect(path);
  const bytes = createReadStream(path, { highWaterMark: 1024 * 1024, signal });
  let done = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      done += chunk.length;
      onProgress(done, size);
      yield chunk;
    }
  }
  const read = (plain: AsyncIterable<Uint8Array>) => readSnapshot(tee(plain, write), { signal });
  try {
    return isCompressed ? await unpack(counted(), "Zstd", signal, read) : await read(counted());
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Error && "syscall" in error) {
      throw new OperatorError("Internal", `${path} cannot be read: ${error.message}`, { cause: error });
    }
    if (!isCompressed) throw error;
    throw new OperatorError("VerificationFailed", `${path}: the zstd data is damaged or truncated`, {
      cause: error,
    });
  }
}

/** Bytes of the file: for a compressed one less than the plain snapshot, whose size is unknown until it is read. */
export async function snapshotFileSize(path: string): Promise<number> {
  return (await inspect(path)).size;
}

async function* tee(
  plain: AsyncIterable<Uint8Array>,
  write: (chunk: Uint8Array) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of plain) {
    await write(chunk);
    yield chunk;
  }
}

async function inspect(path: string): Promise<{ size: number; isCompressed: boolean }> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const stat = await file.stat();
    if (!stat.isFile()) throw usage(`${path} is not a file`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return { size: stat.size, isCompressed: bytesRead === 4 && buffer.equals(zstdMagic) };
  } catch (error) {
    throw error instanceof OperatorError ? error : unreadable(path, error);
  } finally {
    await file?.close();
  }
}

function unreadable(path: string, error: unknown): OperatorError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  const isMissing = code === "ENOENT";
  const reason = isMissing ? "there is no such file, and it is not a backup's name" : code;
  return new OperatorError(isMissing ? "NotFound" : "Usage", `${path} cannot be read: ${reason}`, {
    hint: "give a snapshot file, a backup's URL, or a backup's name with --store",
  });
}
