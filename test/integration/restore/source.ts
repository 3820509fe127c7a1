import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { EtcdMinor } from "../../harness/binaries.ts";
import { etcdBackupJson } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { keyValues, revisionOf } from "../../support/cluster-state.ts";
import { saveArgs } from "../../support/save-command.ts";

export const bump = 1_000_000_000;
export const leaseSeconds = 86_400;

/** Overwritten, deleted, empty and large values, keys of any bytes, and a lease. */
export async function putKeys(cluster: EtcdCluster): Promise<{ lease: string }> {
  const { etcdctl } = cluster;
  const lease = /lease ([0-9a-f]+)/.exec(await etcdctl(["lease", "grant", String(leaseSeconds)]))?.[1] ?? "";
  await etcdctl(["put", `--lease=${lease}`, "/leased", "goes with its lease"]);
  await etcdctl(["put", "/large"], { input: randomBytes(300_000).toString("hex") });
  await etcdctl(["put", "/odd/ключ \t=, 鍵", "--", "-value with spaces\nand lines"]);
  await etcdctl(["put", "/empty", ""]);
  for (let i = 0; i < 5; i += 1) await etcdctl(["put", "/overwritten", `${i}`]);
  await etcdctl(["put", "/deleted", "before"]);
  await etcdctl(["del", "/deleted"]);
  return { lease };
}

/** Changes that no restored cluster may show, when they are made after the snapshot. */
export async function putLaterKeys({ etcdctl }: EtcdCluster): Promise<void> {
  await etcdctl(["put", "/overwritten", "after the snapshot"]);
  await etcdctl(["put", "/deleted", "again"]);
  await etcdctl(["put", "/new", "after the snapshot"]);
  await etcdctl(["del", "/empty"]);
}

/** A cluster with a backup in a store, and changes after the backup. */
export interface Source extends AsyncDisposable {
  cluster: EtcdCluster;
  store: string;
  lease: string;
  /** The revision of the snapshot. */
  revision: number;
  /** The key-value pairs of the snapshot. */
  keyValues: string;
  /** The newest revision that clients of the source may have seen. */
  lastRevision: number;
}

export async function startSource(minor: EtcdMinor, directory: string): Promise<Source> {
  const cluster = await startEtcd({ minor });
  const { lease } = await putKeys(cluster);
  const store = `file://${directory}/store-${minor}`;
  await mkdir(`${directory}/store-${minor}`);
  const saved = await etcdBackupJson<{ snapshot: { revision: number } }>(saveArgs(cluster, store));
  await putLaterKeys(cluster);
  return {
    cluster,
    store,
    lease,
    revision: saved.snapshot.revision,
    keyValues: await keyValues(cluster, saved.snapshot.revision),
    lastRevision: await revisionOf(cluster),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** Lines of the members' logs that warn of files, permissions or data in their directories. */
export function directoryWarnings(cluster: EtcdCluster): string[] {
  const lines = cluster.members.flatMap((member) => member.logs().split("\n"));
  // Before 3.5 the level is a letter: `2026-11-23 10:20:16.347589 W | etcdserver: …`.
  return lines
    .filter((line) => /"level":"(warn|error|fatal)"| [WEC] \| /.test(line))
    .filter((line) => /unexpected|unknown|invalid|ignored? file|permission|corrupt|mismatch/i.test(line));
}
