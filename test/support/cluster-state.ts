import assert from "node:assert/strict";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";
import { sha256 } from "./files.ts";

/** Every key-value pair with its revisions, version and lease, with digests for large values; of the newest revision when none is given. */
export async function keyValues(cluster: EtcdCluster, revision?: number): Promise<string> {
  const at = revision === undefined ? [] : [`--rev=${revision}`];
  const answer = await cluster.etcdctl(["get", "", "--prefix", "-w", "json", ...at]);
  // As text: leases are 64-bit integers, which JSON.parse would round.
  const kvs = /"kvs":(\[.*?\])/.exec(answer)?.[1];
  assert.ok(kvs !== undefined && kvs.length > 10, `there are no pairs in ${answer.slice(0, 200)}`);
  return kvs.replaceAll(/"value":"([^"]{100,})"/g, (_, value: string) => `"value":"${sha256(value)}"`);
}

/** The newest revision of the cluster. */
export async function revisionOf(cluster: EtcdCluster): Promise<number> {
  const answer = await cluster.etcdctl(["get", "no-such-key", "-w", "json"]);
  return Number(/"revision":(\d+)/.exec(answer)?.[1]);
}

/** The HashKV of each member at one revision. */
async function hashKVs(cluster: EtcdCluster): Promise<number[]> {
  const revision = await revisionOf(cluster);
  return Promise.all(
    cluster.endpoints.map(async (endpoint) => {
      const ask = ["endpoint", "hashkv", "-w", "json", `--rev=${revision}`];
      const answer = await cluster.etcdctl(ask, { endpoints: [endpoint] });
      return Number(/"hash":(\d+)/.exec(answer)?.[1]);
    }),
  );
}

/** Fails unless all members have the same HashKV. */
export async function assertSameHashKV(cluster: EtcdCluster): Promise<void> {
  const hashes = await hashKVs(cluster);
  assert.ok(
    hashes.every((hash) => hash === hashes[0] && hash > 0),
    `HashKV of all members: ${hashes.join()}`,
  );
}
