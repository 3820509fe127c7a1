import { access, constants, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Every executable of this name in the directories of `path`, in the order of PATH. */
export async function onPath(name: string, path = ""): Promise<string[]> {
  const found: string[] = [];
  for (const directory of path.split(delimiter)) {
    const candidate = join(directory, name);
    if (directory !== "" && (await isExecutable(candidate))) found.push(candidate);
  }
  return found;
}
