import { randomBytes } from "node:crypto";

export interface RestoreArguments {
  /** Path of the uncompressed snapshot. */
  snapshot: string;
  dataDir: string;
  walDir?: string;
  name: string;
  peerUrls: string;
  initialCluster: string;
  token: string;
  /** How far revisions are raised above the snapshot's; 0 to continue from it. */
  bump: number;
}

/** A new cluster token, so that no member of the old cluster can join the restored one. */
export function freshToken(now: Date): string {
  return `restored-${now.toISOString().slice(0, 10)}-${randomBytes(6).toString("hex")}`;
}

/** The tool's arguments, for a process on this machine and for a container. */
export function restoreArguments(args: RestoreArguments): string[] {
  return [
    "snapshot",
    "restore",
    args.snapshot,
    `--name=${args.name}`,
    `--initial-cluster=${args.initialCluster}`,
    `--initial-cluster-token=${args.token}`,
    `--initial-advertise-peer-urls=${args.peerUrls}`,
    `--data-dir=${args.dataDir}`,
    ...(args.walDir === undefined ? [] : [`--wal-dir=${args.walDir}`]),
    ...(args.bump === 0 ? [] : [`--bump-revision=${args.bump}`, "--mark-compacted"]),
  ];
}
