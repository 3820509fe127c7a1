import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { saveArguments } from "./etcd-backup-save.ts";
import { measure } from "./measure.ts";
import { print, seconds } from "./report.ts";
import type { Setting } from "./setting.ts";

const mainPath = join(import.meta.dirname, "..", "src", "main.ts");

/** One save with zstd under V8's profiler; the .cpuprofile opens in Chrome's DevTools. */
export async function profileSave(setting: Setting, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const flags = ["--cpu-prof", `--cpu-prof-dir=${directory}`, "--disable-warning=DEP0123"];
  const { wallSeconds } = await measure(process.execPath, [...flags, mainPath, ...saveArguments(setting)], {
    env: setting.store.env,
  });
  print(`profiled a save of ${seconds(wallSeconds)} into ${directory}\n`);
}
