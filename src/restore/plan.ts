import type { FileHandle } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { canBumpRevision, type EtcdVersion, isLaterMinor, minorOf } from "../core/etcd/version.ts";
import type { InitialMember } from "./initial-cluster.ts";
import { checkSpace, checkTarget } from "./target.ts";
import type { RestoreTool } from "./tool.ts";
import type { RestoreTarget } from "./work-layout.ts";

/** Where the snapshot comes from: a store or a file. */
export interface SnapshotToRestore {
  /** Path or URL, for people and for the marker; never holds a credential. */
  readonly name: string;
  /** Bytes of the database, as far as they are known before it is read. */
  readonly bytes: number;
  /** Version of the etcd that made it, where it is known before it is read. */
  readonly etcdVersion: EtcdVersion | undefined;
  /** Writes the uncompressed snapshot with its trailer. Resolves when every check has passed, else throws. */
  write(file: FileHandle): Promise<VerifiedSnapshot>;
}

/** What is known of a snapshot once it has been read and verified. */
export interface VerifiedSnapshot {
  revision: number;
  /** SHA-256 of the database, in hex. */
  sha256: string;
  /** Version of the etcd that can read it, where SnapshotToRestore does not give one. */
  etcdVersion?: EtcdVersion;
}

export interface RestorePlan {
  source: SnapshotToRestore;
  tool: RestoreTool;
  /** All voting members of the new cluster. */
  cluster: InitialMember[];
  /** The members that are restored here, and where. */
  members: { member: InitialMember; target: RestoreTarget }[];
  token: string;
  /** How far revisions are raised above the snapshot's, so that no client has seen them; 0 to continue from it. */
  bump: number;
  now: () => Date;
  signal: AbortSignal;
  onStep?: (step: RestoreStep) => void;
}

export type RestoreStep = { step: "Verified"; revision: number } | { step: "Restoring"; member: string };

/** Throws Refused when the plan cannot succeed, as far as that is known before the snapshot is read. */
export async function checkPlan({ source, tool, members, bump }: RestorePlan): Promise<void> {
  checkVersions(source.etcdVersion, tool);
  if (bump > 0 && !tool.canBump) throw cannotBump(tool);
  const targets = members.map(({ target }) => target);
  for (const target of targets) await checkTarget(target);
  await checkSpace(targets, source.bytes);
}

/** Throws Refused when the tool is of an earlier minor than the snapshot. */
export function checkVersions(
  snapshotVersion: EtcdVersion | undefined,
  { version, release, kind, path }: RestoreTool,
): void {
  if (snapshotVersion === undefined || !isLaterMinor(snapshotVersion, version)) return;
  const minor = minorOf(snapshotVersion);
  throw new OperatorError(
    "Refused",
    `${kind} ${release} (${path}) cannot restore a snapshot of etcd ${minor}`,
    { hint: `use an etcdutl of ${minor} or later, and the same etcd after it` },
  );
}

function cannotBump({ kind, release, path, version }: RestoreTool): OperatorError {
  const since = canBumpRevision(version) ? "" : ": it came with 3.4.27, 3.5.10 and 3.6.0";
  return new OperatorError("Refused", `${kind} ${release} (${path}) has no --bump-revision${since}`, {
    hint: "use a later patch of the same minor; or --bump-revision 0 if no client watches this cluster, since a client that saw newer revisions misses changes",
  });
}
