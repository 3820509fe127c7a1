import assert from "node:assert/strict";
import { join } from "node:path";
import { type EtcdMinor, binary } from "../harness/binaries.ts";
import { etcdBackupJson } from "../harness/etcd-backup.ts";
import { type EtcdCluster, type FilledOptions, startFilled } from "../harness/etcd-cluster.ts";
import { freePorts } from "../harness/process.ts";
import { sha256 } from "./files.ts";

/** A member of a cluster that is to be restored: its ports are part of what is restored. */
export interface RestoredMember {
  name: string;
  dataDir: string;
  walDir?: string;
  ports: { client: number; peer: number };
}

/** Starts restored members by etcd of a minor, as their keepers would; etcdctl and etcdutl come with them. */
export function bootRestored({
  members,
  ...options
}: Omit<FilledOptions, "members"> & { members: RestoredMember[] }): Promise<EtcdCluster> {
  const places = members.map(({ ports, ...member }) => ({
    ...member,
    clientPort: ports.client,
    peerPort: ports.peer,
  }));
  return startFilled({ ...options, members: places });
}

export interface Plan {
  members: RestoredMember[];
  /** As --initial-cluster takes it. */
  initialCluster: string;
}

/** Members r1, r2, … on free ports, with directories below `directory` that are not there yet. */
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

/** `etcd-backup restore -o json`. */
export interface RestoreResult {
  backup: string;
  revision: number;
  nextRevision: number;
  token: string;
  initialCluster: string;
  members: { name: string; dataDir: string; walDir?: string }[];
}

/** Where a minor has its tool for restoring. */
export function restoreTool(minor: EtcdMinor): Promise<string> {
  return binary(minor === "3.4" ? "etcdctl" : "etcdutl", minor);
}

/** The flags for a minor: its own tool, and no bump where that has none. */
export async function toolFlags(minor: EtcdMinor): Promise<string[]> {
  return ["--etcdutl", await restoreTool(minor), ...(minor === "3.4" ? ["--bump-revision", "0"] : [])];
}

/** Restores every member of a plan made by `planMembers`, on this machine. */
export function restoreAll(
  directory: string,
  { members, initialCluster }: Plan,
  args: string[],
  env: Record<string, string> = {},
): Promise<RestoreResult> {
  const walDirs = members.some(({ walDir }) => walDir !== undefined);
  const wal = walDirs ? ["--wal-dir-template", join(directory, "log", "{name}")] : [];
  const data = ["--data-dir-template", join(directory, "data", "{name}")];
  return etcdBackupJson<RestoreResult>(
    ["restore", ...args, "--all-members", "--initial-cluster", initialCluster, ...data, ...wal],
    env,
  );
}

/** Every pair with its revisions, version and lease, large values by their digests; as of a revision if one is given. */
export async function pairs(cluster: EtcdCluster, revision?: number): Promise<string> {
  const at = revision === undefined ? [] : [`--rev=${revision}`];
  const answer = await cluster.etcdctl(["get", "", "--prefix", "-w", "json", ...at]);
  // As text: leases are 64-bit integers, which JSON.parse would round.
  const found = /"kvs":(\[.*?\])/.exec(answer)?.[1];
  assert.ok(found !== undefined && found.length > 10, `there are pairs in ${answer.slice(0, 200)}`);
  return found.replaceAll(/"value":"([^"]{100,})"/g, (_, value: string) => `"value":"${sha256(value)}"`);
}

/** The newest revision. */
export async function revisionOf(cluster: EtcdCluster): Promise<number> {
  const answer = await cluster.etcdctl(["get", "no-such-key", "-w", "json"]);
  return Number(/"revision":(\d+)/.exec(answer)?.[1]);
}

/** Each member's HashKV at one revision. */
export async function hashes(cluster: EtcdCluster): Promise<number[]> {
  const revision = await revisionOf(cluster);
  return Promise.all(
    cluster.endpoints.map(async (endpoint) => {
      const ask = ["endpoint", "hashkv", "-w", "json", `--rev=${revision}`];
      const answer = await cluster.etcdctl(ask, { endpoints: [endpoint] });
      return Number(/"hash":(\d+)/.exec(answer)?.[1]);
    }),
  );
}
