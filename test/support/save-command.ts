import { etcdFlags } from "../harness/etcd-backup.ts";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";

/** The command line `save` of a cluster into the store at a URL. The cluster name is `lab` when not given. */
export function saveArgs(
  cluster: EtcdCluster,
  url: string,
  { clusterName = "lab", endpoints }: { clusterName?: string; endpoints?: string[] } = {},
): string[] {
  return ["save", "--store", url, "--cluster-name", clusterName, ...etcdFlags(cluster, endpoints)];
}
