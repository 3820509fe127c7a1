import { etcdBackup, etcdBackupPath } from "../test/harness/etcd-backup.ts";
import { type Cost, measure } from "./measure.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

/** The arguments of `etcd-backup` for a save of the bench's database. */
export function saveArguments({ etcd, store }: Setting, more: string[] = []): string[] {
  return ["save", "--endpoints", etcd.endpoint, "--store", store.url, "--cluster-name", "bench", ...more];
}

export async function measureSave(setting: Setting, more: string[]): Promise<Cost> {
  // A save writes no temporary file. If it did, the file would lie here and be counted.
  const env = { ...setting.store.env, TMPDIR: await scratchDirectory(setting, "etcd-backup") };
  return measure(etcdBackupPath, saveArguments(setting, more), { env });
}

/** Why the row with `--max-rate` is skipped; undefined if the command has the flag. */
export async function maxRateMissing(): Promise<string | undefined> {
  const { stdout } = await etcdBackup(["save", "--help"]);
  return stdout.includes("--max-rate") ? undefined : "etcd-backup save does not know --max-rate";
}
