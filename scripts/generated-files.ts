import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export const root = join(import.meta.dirname, "..");

/** What a generator makes: texts by their path below the root, and the folders that hold nothing else. */
export interface Generated {
  files: ReadonlyMap<string, string>;
  folders: readonly string[];
}

/** Paths whose content is not the wanted one, and paths in the folders that belong to nothing. */
export async function differing({
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
    const found = await readdir(join(root, folder)).catch(() => []);
    stray.push(...found.map((name) => `${folder}/${name}`).filter((path) => !files.has(path)));
  }
  return { changed, stray };
}

/** Writes the files, or with `--check` only says which ones differ. The exit code is 1 when something is left to do. */
export async function settle(generated: Generated, source: string, command: string): Promise<void> {
  const { changed, stray } = await differing(generated);
  for (const path of stray) console.error(`${path} belongs to nothing in ${source}: remove it`);
  if (stray.length > 0) process.exitCode = 1;
  if (process.argv.includes("--check")) {
    for (const path of changed) console.error(`${path} is not what ${source} makes of it: run ${command}`);
    if (changed.length > 0) process.exitCode = 1;
    return;
  }
  for (const path of changed) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), generated.files.get(path) ?? "");
    console.log(`wrote ${path}`);
  }
}
