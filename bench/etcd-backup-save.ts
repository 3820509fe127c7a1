import { etcdBackup, etcdBackupPath } from "../test/harness/etcd-backup.ts";
import { type Cost, measure } from "./measure.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

/** What a person types, but for the program's name. */
export function saveArguments({ etcd, store }: Setting, more: string[] = []): string[] {
  return ["save", "--endpoints", etcd.endpoint, "--store", store.url, "--cluster-name", "bench", ...more];
}

export async function measureSave(setting: Setting, more: string[]): Promise<Cost> {
  // The data goes through memory; were there a temporary file, it would lie here and be counted.
  const env = { ...setting.store.env, TMPDIR: await scratchDirectory(setting, "etcd-backup") };
  return measure(etcdBackupPath, saveArguments(setting, more), { env });
}

/** Undefined when the command knows `--max-rate`, else why the throttled row is left out. */
export async function maxRateMissing(): Promise<string | undefined> {
  const { stdout } = await etcdBackup(["save", "--help"]);
  return stdout.includes("--max-rate") ? undefined : "etcd-backup save does not know --max-rate";
}
