import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Cost, measure } from "./measure.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

export const baseline = "etcdctl snapshot save + aws s3 cp";

/** What a cron job does: save a file on scratch disk, copy it to the store, remove it. Both tools run with their defaults. */
export async function saveThenCopy(setting: Setting, aws: string): Promise<{ save: Cost; copy: Cost }> {
  const { etcd, s3, store, bucket } = setting;
  const directory = await scratchDirectory(setting, "baseline");
  const file = join(directory, "snapshot.db");
  // A separate home, so that the user's configuration has no effect.
  const env = { TMPDIR: directory, HOME: directory };
  const saveArgs = ["--endpoints", etcd.endpoint, "snapshot", "save", file];
  const save = await measure(setting.etcdctl, saveArgs, { env });
  const endpointArgs = ["--endpoint-url", s3.endpoint, "--region", s3.region];
  const copyArgs = ["s3", "cp", file, `s3://${bucket}/snapshot.db`, "--no-progress", ...endpointArgs];
  const awsEnv = { ...env, ...store.env, AWS_EC2_METADATA_DISABLED: "true" };
  const copy = await measure(aws, copyArgs, { env: awsEnv });
  await rm(directory, { recursive: true });
  return { save, copy };
}
