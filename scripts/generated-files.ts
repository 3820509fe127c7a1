import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export const root = join(import.meta.dirname, "..");

/** A generator's output: texts by their paths below the root, and the folders that hold only such files. */
export interface Generated {
  files: ReadonlyMap<string, string>;
  folders: readonly string[];
}

/** Paths whose file differs from the generated text, and paths in the folders that are not generated. */
async function compareWithFiles({
  files,
  folders,
}: Generated): Promise<{ changed: string[]; stray: string[] }> {
  const changed: string[] = [];
  for (const [path, text] of files) {
    const present = await readFile(join(root, path), "utf8").catch(() => undefined);
    if (present !== text) changed.push(path);
  }
  const stray: string[] = [];
  for (const folder of folders) {
    const names = await readdir(join(root, folder)).catch(() => []);
    stray.push(...names.map((name) => `${folder}/${name}`).filter((path) => !files.has(path)));
  }
  return { changed, stray };
}

/**
 * Writes the files that differ, or with `--check` only names them. The exit code is 1 when files differ after that, or
 * a folder holds a file that is not generated. `source` and `command` name the generator's input and its npm script.
 */
export async function writeOrCheck(generated: Generated, source: string, command: string): Promise<void> {
  const { changed, stray } = await compareWithFiles(generated);
  for (const path of stray) console.error(`${path} is not generated from ${source}: remove it`);
  if (stray.length > 0) process.exitCode = 1;
  if (process.argv.includes("--check")) {
    for (const path of changed) console.error(`${path} differs from what ${source} gives: run ${command}`);
    if (changed.length > 0) process.exitCode = 1;
    return;
  }
  for (const path of changed) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), generated.files.get(path) ?? "");
    console.log(`wrote ${path}`);
  }
}
