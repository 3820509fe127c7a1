import { open, rm } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { type InitialMember, formatInitialCluster } from "./initial-cluster.ts";
import {
  checkPlan,
  checkVersions,
  type RestorePlan,
  type SnapshotToRestore,
  type VerifiedSnapshot,
} from "./plan.ts";
import { type PreparedTarget, prepareTarget } from "./prepared-target.ts";
import { runRestore } from "./tool.ts";
import type { RestoreTarget } from "./work-layout.ts";

/** Members restored at the same time: the tool needs the disk as much as the processor. */
const concurrency = 2;

/**
 * Verifies the snapshot, restores every member of the plan, and puts the results in place. No data directory holds
 * anything that looks like data until all members are restored. A failure before that leaves every directory as it was.
 */
export async function restoreMembers(plan: RestorePlan): Promise<VerifiedSnapshot> {
  await checkPlan(plan);
  await using stack = new AsyncDisposableStack();
  const prepared: Prepared[] = [];
  for (const { member, target } of plan.members)
    prepared.push({ member, target, work: stack.use(await prepareTarget(target)) });
  try {
    return await restoreInto(prepared, plan);
  } catch (error) {
    plan.signal.throwIfAborted();
    for (const { work } of prepared) await work.throwIfTakenOver();
    throw error;
  }
}

interface Prepared {
  member: InitialMember;
  target: RestoreTarget;
  work: PreparedTarget;
}

async function restoreInto(prepared: readonly Prepared[], plan: RestorePlan): Promise<VerifiedSnapshot> {
  const { source, tool, token, bump, signal, now } = plan;
  const step = plan.onStep ?? (() => {});
  const snapshot = prepared[0]?.work.snapshot ?? "";
  const { revision, sha256, etcdVersion } = await writeSnapshot(source, snapshot);
  checkVersions(etcdVersion, tool);
  step({ step: "Verified", revision });

  const initialCluster = formatInitialCluster(plan.cluster);
  await forEachConcurrent(prepared, async ({ member, work }) => {
    const { dataDir, walDir } = work;
    step({ step: "Restoring", member: member.name });
    const peerUrls = member.peerUrls.join(",");
    const directories = walDir === undefined ? { dataDir } : { dataDir, walDir };
    const membership = { name: member.name, peerUrls, initialCluster, token, bump };
    // The tool creates directories again that another restore has taken over and removed.
    await work.throwIfTakenOver();
    await runRestore(tool, { snapshot, ...directories, ...membership }, signal);
  });
  await rm(snapshot, { force: true });

  const markers = prepared.map(({ member, work }) => ({
    work,
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
  for (const { work, marker } of markers) await work.sync(marker);
  signal.throwIfAborted();
  for (const { work } of prepared) await work.commit();
  for (const { work } of prepared) await work.finish();
  return { revision, sha256 };
}

/** After a failure no further item is begun. All begun ones have ended on return, so cleanup meets no writer. */
async function forEachConcurrent<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        await act(next);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  for (const result of await Promise.allSettled(Array.from({ length: concurrency }, worker)))
    if (result.status === "rejected") throw result.reason;
}

async function writeSnapshot(source: SnapshotToRestore, path: string): Promise<VerifiedSnapshot> {
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
