import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type EtcdMinor, binary } from "../../harness/binaries.ts";
import { etcdBackup, etcdBackupJson } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { treeOf } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { saveArgs } from "../../support/save-command.ts";

export const three = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";

/** A backup in a store of its own. */
export interface SampleBackup {
  name: string;
  /** URL of the store. */
  store: string;
  /** The fetched snapshot, a plain file. */
  file: string;
}

/** Makes a backup of etcd of a minor, below a directory. Half of its 12 MB can be compressed well. */
export async function sampleBackup(directory: string, minor: EtcdMinor): Promise<SampleBackup> {
  await using cluster = await startEtcd({ minor });
  await fill(cluster, 3);
  for (let i = 0; i < 4; i += 1)
    await cluster.etcdctl(["put", `/zeros/${i}`], { input: "0".repeat(1_400_000) });
  const folder = join(directory, `store-${minor}`);
  await mkdir(folder);
  const store = `file://${folder}`;
  const save = [...saveArgs(cluster, store), "--compression", "none"];
  const { name } = await etcdBackupJson<{ name: string }>(save);
  const file = join(directory, `${minor}.db`);
  const fetched = await etcdBackup(["fetch", "latest", "--store", store, "-o", file]);
  assert.equal(fetched.code, 0, fetched.stderr);
  return { name, store, file };
}

export interface Refusal {
  /** Arguments of `restore`. `--etcdutl` is that of 3.6 when not given; `{dir}` is the test's directory. */
  args: string[];
  code: number;
  /** The whole of stderr, with `{dir}` for the test's directory. */
  says: string;
}

/** Runs `restore`, compares its exit code and the whole of its output, and checks that nothing below the directory changed. */
export async function assertRefused(dir: string, { args, code, says }: Refusal): Promise<void> {
  const given = args.map((arg) => arg.replaceAll("{dir}", dir));
  const tool = args.includes("--etcdutl") ? [] : ["--etcdutl", await binary("etcdutl", "3.6")];
  const before = await treeOf(dir);
  const ran = await etcdBackup(["restore", ...given, ...tool]);
  const stderr = ran.stderr.replaceAll(dir, "{dir}").replaceAll(/\.restoring-[0-9a-f]+/g, ".restoring-{id}");
  assert.deepEqual({ code: ran.code, stdout: ran.stdout, stderr }, { code, stdout: "", stderr: says });
  assert.deepEqual(await treeOf(dir), before, "nothing was touched");
}
