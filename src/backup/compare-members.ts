import { OperatorError, asOperatorError } from "../core/errors.ts";
import {
  type HashAgreement,
  type MemberHash,
  agree,
  describeGroups,
  hashTimeout,
} from "../core/etcd/hash-agreement.ts";
import type { ChosenMember, MemberFacts, MemberSelection } from "../core/etcd/member-choice.ts";
import type { Manifest } from "./manifest/manifest.ts";
import type { SaveStep } from "./progress.ts";
import type { SnapshotCluster } from "./source.ts";

/** Comparisons at most. A busy cluster may compact the revision between two answers; then a newer one is compared. */
const attempts = 3;

export interface CompareOptions {
  cluster: Pick<SnapshotCluster, "observe" | "hashKV">;
  hashKV: "WhenAvailable" | "Required" | "Skip";
  selection: MemberSelection;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
}

/**
 * Compares HashKV of the voting members at one revision, one member after the other. Undefined when the comparison is
 * skipped or inconclusive, and where there is one voting member: a hash that is compared with none proves nothing. Throws
 * MembersDisagree, and NoUsableMember when a required comparison is inconclusive.
 */
export async function compareMembers(
  members: readonly MemberFacts[],
  choice: ChosenMember,
  options: CompareOptions,
): Promise<Manifest["hashKV"]> {
  if (options.hashKV === "Skip") return undefined;
  const [only, ...others] = members.filter((m) => !m.isLearner);
  if (only !== undefined && others.length === 0) {
    options.onStep?.({ step: "HashesNotNeeded", member: labelOf(only) });
    return undefined;
  }
  const { agreement, revision } = await compare(members, choice.chosen, options);
  return judge(agreement, revision, choice, options);
}

async function compare(
  members: readonly MemberFacts[],
  chosen: MemberFacts,
  options: CompareOptions,
): Promise<{ agreement: HashAgreement; revision: number }> {
  const voting = members.filter((m) => !m.isLearner);
  let comparable = voting.filter((m) => whyNotComparable(m) === undefined);
  let unavailable: MemberHash[] = voting.flatMap((m) => {
    const reason = whyNotComparable(m);
    return reason === undefined ? [] : [{ member: labelOf(m), unavailable: reason }];
  });
  let revision = commonRevision(comparable, chosen, options);
  let agreement: HashAgreement = {
    verdict: "inconclusive",
    reason: `${labelOf(chosen)} is the only member that can be asked`,
  };
  for (let n = 0; n < attempts && comparable.length > 1; n++) {
    const { hashes, timedOut } = await readHashes(comparable, revision, options);
    agreement = agree([...hashes, ...unavailable], labelOf(chosen));
    if (agreement.verdict !== "inconclusive") break;
    // A member that timed out once is not asked again.
    comparable = comparable.filter((m) => !timedOut.has(m));
    unavailable = [...unavailable, ...timedOut.values()];
    const { members: current } = await options.cluster.observe(options.signal);
    const currentChosen = current.find((m) => m.id === chosen.id && m.error === undefined) ?? chosen;
    revision = commonRevision(current, currentChosen, options);
  }
  return { agreement, revision };
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
  { cluster, signal }: CompareOptions,
): Promise<{ hashes: MemberHash[]; timedOut: Map<MemberFacts, MemberHash> }> {
  const hashes: MemberHash[] = [];
  const timedOut = new Map<MemberFacts, MemberHash>();
  for (const m of members) {
    const member = labelOf(m);
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
