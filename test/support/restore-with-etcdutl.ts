import { runOrThrow } from "../harness/process.ts";
import type { EtcdMinor } from "../harness/binaries.ts";
import type { EtcdCluster, EtcdOptions } from "../harness/etcd-cluster.ts";
import { bootRestored, planMembers, restoreTool } from "./restore.ts";

/** Restores a snapshot file with etcd's own tool of the minor, with its hash check on, and starts etcd of the minor on it. */
export async function restoreWithEtcdutl(
  minor: EtcdMinor,
  snapshot: string,
  directory: string,
  auth?: EtcdOptions["auth"],
): Promise<EtcdCluster> {
  const { members, initialCluster } = await planMembers(directory, 1);
  for (const { name, dataDir, ports } of members) {
    const member = [`--name=${name}`, `--data-dir=${dataDir}`, `--initial-cluster=${initialCluster}`];
    const peerUrls = `--initial-advertise-peer-urls=http://127.0.0.1:${ports.peer}`;
    await runOrThrow(await restoreTool(minor), ["snapshot", "restore", snapshot, ...member, peerUrls], {
      env: { ETCDCTL_API: "3" },
    });
  }
  return bootRestored({ minor, members, ...(auth === undefined ? {} : { auth }) });
}
