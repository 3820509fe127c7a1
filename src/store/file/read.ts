import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { classifyFile } from "./errors.ts";

const readSize = 1024 * 1024;

/** The bytes of a regular file, each chunk in its own buffer. Does not follow a symbolic link. */
export async function* fileChunks(file: string, doing: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(readSize), 0, readSize);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw classifyFile(error, doing);
  }
}
