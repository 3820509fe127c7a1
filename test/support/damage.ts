import { readFile, truncate, writeFile } from "node:fs/promises";

/** Flips one bit in the middle of a file. */
export async function flipByte(file: string): Promise<void> {
  const bytes = await readFile(file);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(file, bytes);
}

/** Removes the last byte of a file. */
export async function cutShort(file: string): Promise<void> {
  await truncate(file, (await readFile(file)).length - 1);
}
