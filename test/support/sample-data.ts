import { randomBytes } from "node:crypto";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";

/** Every value of `fill` begins with this text. */
export const marker = "the-beginning-of-a-value";

/** Puts values of about a megabyte each, which zstd halves. */
export async function fill(cluster: EtcdCluster, megabytes: number): Promise<void> {
  for (let i = 0; i < megabytes; i += 1) {
    await cluster.etcdctl(["put", `/fill/${i}`], { input: marker + randomBytes(500_000).toString("hex") });
  }
}

/** Puts enough data for two parts of a multipart upload, compressed or not. */
export async function fillTwoParts(cluster: EtcdCluster): Promise<void> {
  await fill(cluster, 14);
}
