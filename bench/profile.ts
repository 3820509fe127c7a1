import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { saveArguments } from "./etcd-backup-save.ts";
import { measure } from "./measure.ts";
import { print, seconds } from "./report.ts";
import type { Setting } from "./setting.ts";

const mainPath = join(import.meta.dirname, "..", "src", "main.ts");

/** Runs one save with zstd under V8's CPU profiler. Chrome's DevTools open the .cpuprofile file. */
export async function profileSave(setting: Setting, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const flags = ["--cpu-prof", `--cpu-prof-dir=${directory}`, "--disable-warning=DEP0123"];
  const { wallSeconds } = await measure(process.execPath, [...flags, mainPath, ...saveArguments(setting)], {
    env: setting.store.env,
  });
  print(`wrote the profile of a save of ${seconds(wallSeconds)} to ${directory}\n`);
}
