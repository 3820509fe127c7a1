import { etcdFlags } from "../harness/etcd-backup.ts";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";

/** The command line `save` of a cluster into the store at a URL, as cluster `lab` unless told otherwise. */
export function saveArgs(
  cluster: EtcdCluster,
  url: string,
  { clusterName = "lab", endpoints }: { clusterName?: string; endpoints?: string[] } = {},
): string[] {
  return ["save", "--store", url, "--cluster-name", clusterName, ...etcdFlags(cluster, endpoints)];
}
