import { join } from "node:path";
import type { RestoreOutput } from "../../src/cli/restore/report.ts";
import { type EtcdMinor, binary } from "../harness/binaries.ts";
import { etcdBackupJson } from "../harness/etcd-backup.ts";
import { type EtcdCluster, type FilledOptions, startFilled } from "../harness/etcd-cluster.ts";
import { freePorts } from "../harness/process.ts";

/** A member of a cluster that is to be restored. Its ports are part of the restored membership. */
export interface RestoredMember {
  name: string;
  dataDir: string;
  walDir?: string;
  ports: { client: number; peer: number };
}

/** Starts etcd on restored data directories. */
export function bootRestored({
  members,
  ...options
}: Omit<FilledOptions, "members"> & { members: RestoredMember[] }): Promise<EtcdCluster> {
  const filled = members.map(({ ports, ...member }) => ({
    ...member,
    clientPort: ports.client,
    peerPort: ports.peer,
  }));
  return startFilled({ ...options, members: filled });
}

export interface Plan {
  members: RestoredMember[];
  /** The value of --initial-cluster. */
  initialCluster: string;
}

/** Members r1, r2, … on free ports, with directories below `directory` that do not exist yet. */
export async function planMembers(
  directory: string,
  count: number,
  { tls = false, walDirs = false } = {},
): Promise<Plan> {
  const ports = await freePorts(2 * count);
  const members = Array.from({ length: count }, (_, index) => {
    const name = `r${index + 1}`;
    const [client = 0, peer = 0] = ports.slice(2 * index);
    const walDir = walDirs ? { walDir: join(directory, "log", name) } : {};
    return { name, dataDir: join(directory, "data", name), ...walDir, ports: { client, peer } };
  });
  const scheme = tls ? "https" : "http";
  const urls = members.map(({ name, ports: { peer } }) => `${name}=${scheme}://127.0.0.1:${peer}`);
  return { members, initialCluster: urls.join(",") };
}

/** The path of the tool that restores snapshots of a minor. */
export function restoreTool(minor: EtcdMinor): Promise<string> {
  return binary(minor === "3.4" ? "etcdctl" : "etcdutl", minor);
}

/** The flags of `restore` for a minor: its own tool, and no revision bump for 3.4, whose tool has none. */
export async function toolFlags(minor: EtcdMinor): Promise<string[]> {
  return ["--etcdutl", await restoreTool(minor), ...(minor === "3.4" ? ["--bump-revision", "0"] : [])];
}

/** Restores every member of a plan of `planMembers` on this machine, by one command. */
export function restoreAll(
  directory: string,
  { members, initialCluster }: Plan,
  args: string[],
  env: Record<string, string> = {},
): Promise<RestoreOutput> {
  const walDirs = members.some(({ walDir }) => walDir !== undefined);
  const wal = walDirs ? ["--wal-dir-template", join(directory, "log", "{name}")] : [];
  const data = ["--data-dir-template", join(directory, "data", "{name}")];
  return etcdBackupJson<RestoreOutput>(
    ["restore", ...args, "--all-members", "--initial-cluster", initialCluster, ...data, ...wal],
    env,
  );
}
