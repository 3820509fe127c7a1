import { type FileHandle, open, rm } from "node:fs/promises";
import { canBumpRevision, type EtcdVersion, isLaterMinor, minorOf } from "../core/etcd-version.ts";
import { OperatorError } from "../core/errors.ts";
import { type InitialMember, formatInitialCluster } from "../core/initial-cluster.ts";
import { type PreparedTarget, type Target, checkSpace, checkTarget, prepareTarget } from "./data-dir.ts";
import { type RestoreTool, runRestore } from "./tool.ts";

/** A snapshot that can be had and proved. */
export interface SnapshotSource {
  /** For people and for the marker; never holds a credential. */
  readonly name: string;
  /** Of the plain database, as far as it is known before it is read. */
  readonly bytes: number;
  /** Of the etcd that made it, where that is known. */
  readonly etcdVersion: EtcdVersion | undefined;
  /** Writes the plain snapshot, trailer included, and resolves only when every check has agreed. */
  write(file: FileHandle): Promise<{ revision: number; sha256: string }>;
}

export interface RestorePlan {
  source: SnapshotSource;
  tool: RestoreTool;
  /** All voting members of the new cluster. */
  cluster: InitialMember[];
  /** Those that are restored here, and where. */
  members: { member: InitialMember; target: Target }[];
  token: string;
  /** How far revisions go beyond those that anybody may have seen; 0: they go on from the snapshot's. */
  bump: number;
  now: () => Date;
  signal: AbortSignal;
  onStep?: (step: RestoreStep) => void;
}

export type RestoreStep =
  | { step: "Verified"; revision: number }
  | { step: "Restoring"; member: string }
  | { step: "InPlace"; member: string; dataDir: string };

export interface Restored {
  /** Of the snapshot. */
  revision: number;
  sha256: string;
}

/** Members that are made at the same time: the tool is busy with the disk as much as with the processor. */
const atOnce = 2;

/** Everything that can be refused before the snapshot is read. */
export async function checkPlan({ source, tool, members, bump }: RestorePlan): Promise<void> {
  checkVersions(source.etcdVersion, tool);
  if (bump > 0 && !tool.canBump) throw cannotBump(tool);
  for (const { target } of members) await checkTarget(target);
  for (const [index, { target }] of members.entries())
    await checkSpace(target, { snapshotBytes: source.bytes, withSnapshot: index === 0 });
}

function checkVersions(made: EtcdVersion | undefined, { version, release, kind, path }: RestoreTool): void {
  if (made === undefined || !isLaterMinor(made, version)) return;
  throw new OperatorError(
    "Refused",
    `the snapshot is of etcd ${minorOf(made)}, which ${kind} ${release} (${path}) and its etcd cannot read`,
    { hint: `use an etcdutl of ${minorOf(made)} or later, and the same etcd after it` },
  );
}

function cannotBump({ kind, release, path, version }: RestoreTool): OperatorError {
  const known = canBumpRevision(version) ? "" : ": it came with 3.4.27, 3.5.10 and 3.6.0";
  return new OperatorError("Refused", `${kind} ${release} (${path}) has no --bump-revision${known}`, {
    hint: "use a later patch of the same minor; or --bump-revision 0, if nobody watches this cluster: clients that saw newer revisions would go wrong silently",
  });
}

/**
 * From a backup to data directories: prove, restore each, put them in their places. Nothing that looks like data is in
 * any of them before all are made; whatever fails before that leaves every directory as it was.
 */
export async function restoreMembers(plan: RestorePlan): Promise<Restored> {
  const { source, tool, token, bump, signal, now } = plan;
  const step = plan.onStep ?? (() => {});
  await checkPlan(plan);
  await using stack = new AsyncDisposableStack();
  const prepared: { member: InitialMember; target: Target; place: PreparedTarget }[] = [];
  for (const { member, target } of plan.members)
    prepared.push({ member, target, place: stack.use(await prepareTarget(target)) });
  const snapshot = prepared[0]?.place.snapshot ?? "";
  const proved = await writeSnapshot(source, snapshot);
  step({ step: "Verified", revision: proved.revision });

  const initialCluster = formatInitialCluster(plan.cluster);
  const waiting = [...prepared];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { member, place } = next;
      step({ step: "Restoring", member: member.name });
      const peerUrls = member.peerUrls.join(",");
      const { dataDir, walDir } = place;
      const where = walDir === undefined ? { dataDir } : { dataDir, walDir };
      const who = { name: member.name, peerUrls, initialCluster, token, bump };
      await runRestore(tool, { snapshot, ...where, ...who }, signal);
    }
  };
  await allOrNone(Array.from({ length: atOnce }, work));
  await rm(snapshot, { force: true });
  signal.throwIfAborted();

  for (const { member, target, place } of prepared) {
    await place.commit({
      backup: source.name,
      revision: proved.revision,
      sha256: proved.sha256,
      bumpRevision: bump,
      member: member.name,
      initialCluster,
      token,
      tool: `${tool.kind} ${tool.release}`,
      restoredAt: now().toISOString(),
    });
    step({ step: "InPlace", member: member.name, dataDir: target.dataDir });
  }
  return proved;
}

/** Every one has ended when this does, so that nobody writes into what is being cleared away. */
async function allOrNone(tasks: Promise<void>[]): Promise<void> {
  for (const { status, ...end } of await Promise.allSettled(tasks))
    if (status === "rejected" && "reason" in end) throw end.reason;
}

async function writeSnapshot(source: SnapshotSource, path: string): Promise<Restored> {
  await using file = await open(path, "wx", 0o600);
  try {
    return await source.write(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    throw new OperatorError("Refused", `writing ${path}: no space is left (${code})`, {
      hint: "free disk space, then restore again",
      cause: error,
    });
  }
}
