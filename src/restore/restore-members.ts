import { type FileHandle, open, rm } from "node:fs/promises";
import { canBumpRevision, type EtcdVersion, isLaterMinor, minorOf } from "../core/etcd/version.ts";
import { OperatorError } from "../core/errors.ts";
import { type InitialMember, formatInitialCluster } from "./initial-cluster.ts";
import { type PreparedTarget, prepareTarget } from "./prepared-target.ts";
import { checkSpace, checkTarget } from "./target.ts";
import { type RestoreTool, runRestore } from "./tool.ts";
import type { RestoreTarget } from "./work-layout.ts";

/** A snapshot that can be had and proved. */
export interface SnapshotSource {
  /** For people and for the marker; never holds a credential. */
  readonly name: string;
  /** Of the plain database, as far as it is known before it is read. */
  readonly bytes: number;
  /** Of the etcd that made it, where that is known. */
  readonly etcdVersion: EtcdVersion | undefined;
  /** Writes the plain snapshot, trailer included, and resolves only when every check has agreed. */
  write(file: FileHandle): Promise<Proved>;
}

export interface RestorePlan {
  source: SnapshotSource;
  tool: RestoreTool;
  /** All voting members of the new cluster. */
  cluster: InitialMember[];
  /** Those that are restored here, and where. */
  members: { member: InitialMember; target: RestoreTarget }[];
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

/** What reading a snapshot tells of it. */
export interface Proved extends Restored {
  /** Of the etcd that can read it, where the source could not tell before. */
  etcdVersion?: EtcdVersion;
}

/** Members that are made at the same time: the tool is busy with the disk as much as with the processor. */
const atOnce = 2;

/** Everything that can be refused before the snapshot is read. */
export async function checkPlan({ source, tool, members, bump }: RestorePlan): Promise<void> {
  checkVersions(source.etcdVersion, tool);
  if (bump > 0 && !tool.canBump) throw cannotBump(tool);
  const targets = members.map(({ target }) => target);
  for (const target of targets) await checkTarget(target);
  await checkSpace(targets, source.bytes);
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
  await checkPlan(plan);
  await using stack = new AsyncDisposableStack();
  const prepared: Prepared[] = [];
  for (const { member, target } of plan.members)
    prepared.push({ member, target, place: stack.use(await prepareTarget(target)) });
  try {
    return await restoreInto(prepared, plan);
  } catch (error) {
    plan.signal.throwIfAborted();
    for (const { place } of prepared) await place.throwIfTakenOver();
    throw error;
  }
}

interface Prepared {
  member: InitialMember;
  target: RestoreTarget;
  place: PreparedTarget;
}

async function restoreInto(prepared: readonly Prepared[], plan: RestorePlan): Promise<Restored> {
  const { source, tool, token, bump, signal, now } = plan;
  const step = plan.onStep ?? (() => {});
  const snapshot = prepared[0]?.place.snapshot ?? "";
  const { revision, sha256, etcdVersion } = await writeSnapshot(source, snapshot);
  checkVersions(etcdVersion, tool);
  step({ step: "Verified", revision });

  const initialCluster = formatInitialCluster(plan.cluster);
  await eachSome(prepared, async ({ member, place: { dataDir, walDir } }) => {
    step({ step: "Restoring", member: member.name });
    const peerUrls = member.peerUrls.join(",");
    const where = walDir === undefined ? { dataDir } : { dataDir, walDir };
    const who = { name: member.name, peerUrls, initialCluster, token, bump };
    await runRestore(tool, { snapshot, ...where, ...who }, signal);
  });
  await rm(snapshot, { force: true });

  const markers = prepared.map(({ member, target, place }) => ({
    name: member.name,
    target,
    place,
    marker: {
      backup: source.name,
      revision,
      sha256,
      bumpRevision: bump,
      member: member.name,
      initialCluster,
      token,
      tool: `${tool.kind} ${tool.release}`,
      restoredAt: now().toISOString(),
    },
  }));
  for (const { place, marker } of markers) await place.sync(marker);
  signal.throwIfAborted();
  for (const { name, target, place, marker } of markers) {
    await place.commit(marker);
    step({ step: "InPlace", member: name, dataDir: target.dataDir });
  }
  return { revision, sha256 };
}

/** After a failure no other one is begun, and all have ended when this does: nobody writes into what is cleared away. */
async function eachSome<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        await act(next);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  for (const end of await Promise.allSettled(Array.from({ length: atOnce }, work)))
    if (end.status === "rejected") throw end.reason;
}

async function writeSnapshot(source: SnapshotSource, path: string): Promise<Proved> {
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
