import { type ChosenMember, type MemberFacts, type MemberSelection, whyRefused } from "./member-choice.ts";

/** What one member answers about itself. */
export interface MemberStatus
  extends Omit<MemberFacts, "endpoint" | "error" | "id" | "name" | "isLeader" | "lag"> {
  clusterId: string;
  memberId: string;
}

/** What the last Status before the first byte says about the choice. */
export type BeforeFirstByte =
  /** The choice with the facts of this Status. */
  | { verdict: "usable"; choice: ChosenMember }
  /** Another member or another cluster answers at the endpoint. */
  | { verdict: "moved"; reason: string }
  /** The member may no longer serve the snapshot. */
  | { verdict: "refused"; reason: string };

interface Question {
  choice: ChosenMember;
  clusterId: string;
  selection: MemberSelection;
}

/**
 * Judges the chosen member by its Status right before the first byte: minutes may have passed since the choice, for
 * HashKV. `hasQuorum`: a linearizable read has succeeded right before that Status. A leader in a Status alone proves no
 * quorum, since a survivor names the lost leader until its election timeout. The lag is a lower bound: the member knows
 * only its own commit index, and the leader's is the one of the choice.
 */
export function judgeBeforeFirstByte(
  { choice, clusterId, selection }: Question,
  status: MemberStatus,
  hasQuorum: boolean,
): BeforeFirstByte {
  const moved = whyMoved(choice.chosen, clusterId, status);
  if (moved !== undefined) return { verdict: "moved", reason: moved };
  const chosen = factsOf(choice.chosen, status);
  const isLost = chosen.leader === "0" || !hasQuorum;
  const withoutQuorum = isLost && selection.allowWithoutQuorum;
  const refused = whyRefused(chosen, selection, withoutQuorum);
  if (refused !== undefined) return { verdict: "refused", reason: refused };
  if (isLost && !withoutQuorum) return { verdict: "refused", reason: "quorum could not be confirmed" };
  const reason = [choice.reason, ...changesOf(choice, chosen, withoutQuorum)].join("; ");
  return { verdict: "usable", choice: { ...choice, chosen, reason, withoutQuorum } };
}

/** What the Status after the last byte says. */
export type AfterLastByte =
  | { verdict: "unchanged" }
  /** The cluster lost its leader meanwhile, or the member does not tell. */
  | { verdict: "unconfirmed"; reason: string }
  /** etcd has found out meanwhile that the member is corrupt. */
  | { verdict: "corrupt"; reason: string };

/**
 * Judges the member after the last byte. etcd fixes the content of a snapshot before it sends the first byte, so a
 * quorum that is lost later takes nothing from it. A CORRUPT alarm says that the member was wrong before, and the
 * snapshot with it.
 */
export function judgeAfterLastByte(
  { choice, clusterId, selection }: Question,
  status: MemberStatus,
): AfterLastByte {
  const moved = whyMoved(choice.chosen, clusterId, status);
  if (moved !== undefined) return { verdict: "unconfirmed", reason: moved };
  const chosen = factsOf(choice.chosen, status);
  // A voting member never becomes a learner, and `true` leaves leader and lag out: only an alarm can refuse it.
  const corrupt = whyRefused({ ...chosen, isLearner: false }, selection, true);
  if (corrupt !== undefined) return { verdict: "corrupt", reason: corrupt };
  if (chosen.leader === "0" && !choice.withoutQuorum)
    return { verdict: "unconfirmed", reason: "it has no leader" };
  return { verdict: "unchanged" };
}

/**
 * An ID is a hash of the peer URLs and the cluster's token. Another one proves another member or cluster; an equal one
 * does not prove the same, since two clusters made from one template have equal IDs.
 */
function whyMoved(chosen: MemberFacts, clusterId: string, status: MemberStatus): string | undefined {
  if (status.memberId !== chosen.id)
    return `${chosen.endpoint} is answered by member ${status.memberId}, not by the chosen member ${chosen.id}`;
  if (status.clusterId !== clusterId)
    return `${chosen.endpoint} is answered by cluster ${status.clusterId}, not by ${clusterId}`;
  return undefined;
}

function factsOf(chosen: MemberFacts, status: MemberStatus): MemberFacts {
  const { clusterId: _, memberId: id, ...facts } = status;
  const committed = Math.max(facts.raftIndex, chosen.raftAppliedIndex + chosen.lag);
  const lag = Math.max(0, committed - facts.raftAppliedIndex);
  return { ...chosen, ...facts, id, isLeader: facts.leader === id, lag };
}

function changesOf(choice: ChosenMember, now: MemberFacts, withoutQuorum: boolean): string[] {
  if (withoutQuorum) return choice.withoutQuorum ? [] : ["quorum was lost before the first byte"];
  if (choice.withoutQuorum) return ["it had a leader again before the first byte"];
  if (now.isLeader !== choice.chosen.isLeader)
    return [`${now.isLeader ? "leader" : "follower"} by the first byte`];
  return [];
}
