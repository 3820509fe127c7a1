import { OperatorError, asOperatorError } from "../core/errors.ts";
import {
  type HashAgreement,
  type MemberHash,
  agree,
  describeGroups,
  hashTimeout,
} from "../core/etcd/hash-agreement.ts";
import type { ChosenMember, MemberFacts, MemberSelection } from "../core/etcd/member-choice.ts";
import { type TimeLimit, checkReadTime } from "../core/read-time.ts";
import type { Agreements, ObservedMembers } from "./agreements.ts";
import { type HashPace, hashPace } from "./hash-pace.ts";
import type { Manifest } from "./manifest/manifest.ts";
import type { SaveStep } from "./progress.ts";
import type { SnapshotCluster } from "./source.ts";

/** Comparisons at most. A busy cluster may compact the revision between two answers; then a newer one is compared. */
const attempts = 3;

export interface CompareOptions {
  cluster: Pick<SnapshotCluster, "observe" | "hashKV">;
  hashKV: "WhenAvailable" | "Required" | "Skip";
  selection: MemberSelection;
  /** The agreements of earlier saves. Absent: the members are compared each time. */
  agreements?: Agreements;
  /** Bytes a second. Each HashKV counts as a read of its member's whole database. */
  maxRate?: number;
  timeLimit?: TimeLimit;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
}

/**
 * Compares HashKV of the voting members at one revision, one member after the other. An agreement of all of them is
 * reused by later saves: its revision is then older than the snapshot's. Undefined when the comparison is skipped or
 * inconclusive, and where there is one voting member: a hash that is compared with none proves nothing. Throws
 * MembersDisagree, NoUsableMember when a required comparison is inconclusive, and InvalidConfiguration when maxRate
 * leaves no time for it.
 */
export async function compareMembers(
  observed: ObservedMembers & { choice: ChosenMember },
  options: CompareOptions,
): Promise<Manifest["hashKV"]> {
  const { clusterId, members, choice } = observed;
  const { agreements, onStep } = options;
  if (options.hashKV === "Skip") return undefined;
  const [only, ...others] = members.filter((m) => !m.isLearner);
  if (only !== undefined && others.length === 0) {
    onStep?.({ step: "HashesNotNeeded", member: labelOf(only) });
    return undefined;
  }
  const known = agreements?.find(observed);
  if (known !== undefined) {
    const { membersCompared, hash, revision } = known.agreement;
    onStep?.({ step: "HashesAgree", members: membersCompared, hash, revision, ageMs: known.ageMs });
    return known.agreement;
  }
  const { agreement, revision, since } = await compare(members, choice.chosen, options);
  if (agreement.verdict === "disagree") agreements?.drop(clusterId);
  const result = judge(agreement, revision, choice, options);
  const isWhole = agreement.verdict === "agree" && agreement.missing.length === 0;
  if (result !== undefined && isWhole) agreements?.keep(observed, result, since);
  return result;
}

async function compare(
  members: readonly MemberFacts[],
  chosen: MemberFacts,
  options: CompareOptions,
): Promise<{ agreement: HashAgreement; revision: number; since: number }> {
  const now = () => options.agreements?.now() ?? 0;
  const voting = members.filter((m) => !m.isLearner);
  let comparable = voting.filter((m) => whyNotComparable(m) === undefined);
  let unavailable: MemberHash[] = voting.flatMap((m) => {
    const reason = whyNotComparable(m);
    return reason === undefined ? [] : [{ member: labelOf(m), unavailable: reason }];
  });
  checkTime(comparable, chosen, options);
  const pace = hashPace(options);
  let since = now();
  let revision = commonRevision(comparable, chosen, options);
  let agreement: HashAgreement = {
    verdict: "inconclusive",
    reason: `${labelOf(chosen)} is the only member that can be asked`,
  };
  for (let n = 0; n < attempts && comparable.length > 1; n++) {
    const { hashes, timedOut } = await readHashes(comparable, revision, pace, options);
    agreement = agree([...hashes, ...unavailable], labelOf(chosen));
    if (agreement.verdict !== "inconclusive") break;
    // A member that timed out once is not asked again.
    comparable = comparable.filter((m) => !timedOut.has(m));
    unavailable = [...unavailable, ...timedOut.values()];
    since = now();
    const { members: current } = await options.cluster.observe(options.signal);
    const currentChosen = current.find((m) => m.id === chosen.id && m.error === undefined) ?? chosen;
    revision = commonRevision(current, currentChosen, options);
  }
  return { agreement, revision, since };
}

/** The last member is asked without a pause after it, and the chosen one is then read. */
function checkTime(comparable: readonly MemberFacts[], chosen: MemberFacts, options: CompareOptions): void {
  if (comparable.length < 2) return;
  const paced = comparable.slice(0, -1).reduce((sum, { dbSize }) => sum + dbSize, chosen.dbSize);
  checkReadTime(paced, options, {
    what: `the databases of ${comparable.length} members for HashKV and of ${labelOf(chosen)} for the snapshot`,
    hint: ", or compare no members (--hashkv skip, spec.verification.hashKV: Skip)",
  });
}

function judge(
  agreement: HashAgreement,
  revision: number,
  { chosen, withoutQuorum }: ChosenMember,
  options: CompareOptions,
): Manifest["hashKV"] {
  const step = options.onStep ?? (() => {});
  const isRequired = options.hashKV === "Required";
  switch (agreement.verdict) {
    case "disagree":
      if (options.selection.name === undefined) throw membersDisagree(agreement, revision);
      step({ step: "HashesDisagree", groups: agreement.groups, member: labelOf(chosen) });
      return undefined;
    case "inconclusive":
      if (isRequired) throw notCompared(agreement.reason);
      step({ step: "HashesUnknown", reason: agreement.reason });
      return undefined;
    case "agree": {
      const { compared, hash, compactRevision, missing } = agreement;
      if (isRequired && missing.length > 0 && !withoutQuorum) {
        const reasons = missing.map((m) => `${m.member}: ${m.unavailable ?? "no answer"}`);
        throw notCompared(reasons.join("; "));
      }
      step({ step: "HashesAgree", members: compared, hash, revision });
      return { revision, hash, compactRevision, membersCompared: compared };
    }
    default:
      return agreement satisfies never;
  }
}

function labelOf({ name, endpoint }: MemberFacts): string {
  return name || endpoint;
}

/** A member with the CORRUPT alarm is not compared: etcd knows that it is corrupt, and the others can be backed up. */
function whyNotComparable({ error, id, alarms }: MemberFacts): string | undefined {
  if (error !== undefined) return error;
  const isCorrupt = alarms.some(({ alarm, memberId }) => alarm === "CORRUPT" && memberId === id);
  return isCorrupt ? "etcd has raised the CORRUPT alarm for it" : undefined;
}

/**
 * The newest revision that the chosen member and all members within maxLag have applied. A member further behind does
 * not count: the others may have compacted its revision.
 */
function commonRevision(
  members: readonly MemberFacts[],
  chosen: MemberFacts,
  { selection }: CompareOptions,
): number {
  const upToDate = members.filter((m) => m.error === undefined && !m.isLearner && m.lag <= selection.maxLag);
  return Math.min(chosen.revision, ...upToDate.map((m) => m.revision));
}

function membersDisagree(
  { groups }: HashAgreement & { verdict: "disagree" },
  revision: number,
): OperatorError {
  return new OperatorError(
    "MembersDisagree",
    `HashKV differs between members at revision ${revision}: ${describeGroups(groups)}`,
    {
      permanent: true,
      hint: "find out which member holds the right data, then name it (--member, spec.etcd.memberSelection.name)",
    },
  );
}

function notCompared(reason: string): OperatorError {
  return new OperatorError(
    "NoUsableMember",
    `HashKV of all members is required, and could not be compared: ${reason}`,
    {
      hint: "bring the member back, or require no comparison (--hashkv when-available, spec.verification.hashKV: WhenAvailable)",
    },
  );
}

async function readHashes(
  members: readonly MemberFacts[],
  revision: number,
  pace: HashPace,
  { cluster, signal }: CompareOptions,
): Promise<{ hashes: MemberHash[]; timedOut: Map<MemberFacts, MemberHash> }> {
  const hashes: MemberHash[] = [];
  const timedOut = new Map<MemberFacts, MemberHash>();
  for (const m of members) {
    const member = labelOf(m);
    await pace(member, m.dbSize);
    try {
      const timeoutMs = hashTimeout(m.dbSize);
      const { hash, compactRevision } = await cluster.hashKV(m.endpoint, revision, { signal, timeoutMs });
      hashes.push({ member, hash, compactRevision });
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = asOperatorError(error);
      const unavailable = { member, unavailable: message };
      hashes.push(unavailable);
      if (code === "Timeout") timedOut.set(m, unavailable);
    }
  }
  return { hashes, timedOut };
}
