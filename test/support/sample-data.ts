import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";

/** A text that every value of `fill` begins with. */
export const marker = "the-beginning-of-a-value";

/** Writes values that do not shrink, of about a megabyte each. */
export async function fill(cluster: EtcdCluster, megabytes: number): Promise<void> {
  for (let i = 0; i < megabytes; i += 1) {
    await cluster.etcdctl(["put", `/fill/${i}`], { input: marker + randomBytes(500_000).toString("hex") });
  }
}

/** Every file below a directory, hidden ones too, relative to it and in order. */
export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .toSorted();
}
