import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Target } from "./target.ts";

const directory = join(import.meta.dirname, "corpus");

/** The inputs of a target in the corpus, by file name. */
export function corpusOf(target: Target): [file: string, input: Uint8Array][] {
  const folder = join(directory, target.name);
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder)
    .toSorted()
    .map((file) => {
      const bytes = readFileSync(join(folder, file));
      return [file, file.endsWith(".zst") ? zstdDecompressSync(bytes) : bytes];
    });
}

/** Writes an input into the corpus. Returns its path. */
export function keep(target: Target, name: string, input: Uint8Array): string {
  const folder = join(directory, target.name);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, target.isText ? `${name}.txt` : `${name}.zst`);
  writeFileSync(file, target.isText ? input : zstdCompressSync(input));
  return file;
}
