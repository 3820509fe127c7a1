import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { classifyFile } from "./errors.ts";

const readSize = 1024 * 1024;

/**
 * The bytes of a regular file from `offset` to `end` or to the end of the file, each chunk in its own buffer. Does not
 * follow a symbolic link.
 */
export async function* fileChunks(
  file: string,
  doing: string,
  { offset = 0, end = Infinity }: { offset?: number; end?: number } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    for (let position = offset; position < end; ) {
      const length = Math.min(readSize, end - position);
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(length), 0, length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw classifyFile(error, doing);
  }
}
