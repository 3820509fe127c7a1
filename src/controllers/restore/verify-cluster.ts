import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { OperatorError } from "../../core/errors.ts";
import { hashTimeout } from "../../core/etcd/hash-agreement.ts";
import type { MemberFacts } from "../../core/etcd/member-choice.ts";
import type { RestoreResult } from "../../core/restore/observed.ts";
import type { RestoreWorkDeps, RestoredCluster } from "./context.ts";
import { tryToIntroduce } from "./introduce.ts";

type Verification = NonNullable<EtcdRestoreStatus["verification"]>;

/** Bytes: etcd's default for --quota-backend-bytes. */
const defaultQuota = 2 * 1024 ** 3;
/** NOSPACE is disarmed only below this share of the quota. Above it, the next writes would raise the alarm again. */
const safeShare = 0.9;

/**
 * Verifies the new cluster: every member answers and votes, all follow one leader, their HashKV is equal, and the
 * cluster holds as many keys as the backup.
 */
export async function verifyCluster(
  deps: RestoreWorkDeps,
  restore: EtcdRestore,
  signal: AbortSignal,
): Promise<RestoreResult> {
  await using cluster = await deps.openRestored(restore, signal);
  const verification = await prove(restore, cluster, signal);
  await tryToIntroduce(deps, restore, verification.clusterID, signal);
  return { step: "prove", verification };
}

async function prove(
  restore: EtcdRestore,
  cluster: RestoredCluster,
  signal: AbortSignal,
): Promise<Verification> {
  const { source } = restore.status;
  if (source === undefined) throw new OperatorError("Internal", "the restore has no source in its status");
  const { clusterId, members } = await cluster.observe(signal);
  checkMembers(members, restore);
  // Later writes change neither the hash nor the keys at the revision right after the restore.
  const revision = source.revision + restore.spec.revisionBump;
  const hashes = new Map<string, string[]>();
  for (const { endpoint, name, dbSize } of members) {
    const { hash } = await cluster.hashKV(endpoint, revision, { signal, timeoutMs: hashTimeout(dbSize) });
    hashes.set(String(hash), [...(hashes.get(String(hash)) ?? []), name]);
  }
  if (hashes.size !== 1) {
    const groups = [...hashes].map(([hash, names]) => `${names.join(" and ")} ${hash}`).join("; ");
    throw new OperatorError("MembersDisagree", `HashKV differs at revision ${revision}: ${groups}`, {
      permanent: true,
    });
  }
  const [first] = members;
  const keys = await cluster.countKeys(first?.endpoint ?? "", revision, signal);
  if (keys !== source.liveKeys) {
    throw new OperatorError(
      "VerificationFailed",
      `the cluster holds ${keys} keys, the backup ${source.liveKeys}`,
    );
  }
  const alarms = await disarmNoSpace(restore, cluster, members, signal);
  return {
    clusterID: clusterId,
    revision,
    hashKV: Number([...hashes.keys()][0]),
    members: members.map(({ name }) => name),
    keys,
    ...(alarms.length === 0 ? {} : { alarms }),
  };
}

function checkMembers(members: readonly MemberFacts[], { spec }: EtcdRestore): void {
  const { replicas } = spec.target.cluster;
  const problem = (message: string) => new OperatorError("NoUsableMember", message, { permanent: false });
  if (members.length !== replicas) throw problem(`${members.length} members answer, not ${replicas}`);
  for (const { name, endpoint, error, isLearner, leader } of members) {
    if (error !== undefined) throw problem(`${name || endpoint}: ${error}`);
    if (isLearner) throw problem(`${name || endpoint} is a learner`);
    if (leader === "0") throw problem(`${name || endpoint} has no leader`);
  }
  const leaders = new Set(members.map(({ leader }) => leader));
  if (leaders.size !== 1) throw problem("the members follow different leaders");
}

/**
 * Disarms NOSPACE when the database has room below the quota. Resolves to the alarms that stay raised; a person has to
 * judge CORRUPT.
 */
async function disarmNoSpace(
  { spec }: EtcdRestore,
  cluster: RestoredCluster,
  members: readonly MemberFacts[],
  signal: AbortSignal,
): Promise<string[]> {
  const [first] = members;
  const raised = first?.alarms ?? [];
  const largest = Math.max(0, ...members.map(({ dbSize }) => dbSize));
  const hasRoom = largest < quotaOf(spec.target.cluster.extraArgs ?? []) * safeShare;
  const kept = raised.filter(({ alarm }) => alarm !== "NOSPACE" || !hasRoom);
  for (const alarm of raised)
    if (!kept.includes(alarm)) await cluster.disarm(first?.endpoint ?? "", alarm, signal);
  return [...new Set(kept.map(({ alarm }) => alarm))].toSorted();
}

function quotaOf(extraArgs: readonly string[]): number {
  const flag = extraArgs.findLast((arg) => arg.startsWith("--quota-backend-bytes="));
  const quota = Number(flag?.split("=")[1] ?? 0);
  return Number.isSafeInteger(quota) && quota > 0 ? quota : defaultQuota;
}
