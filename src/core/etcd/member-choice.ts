/** What is known of one member, or of one endpoint that did not answer. Indexes and sizes are plain numbers. */
export interface MemberFacts {
  endpoint: string;
  /** Why it could not be asked; the facts below are then what the member list says of it. */
  error?: string;
  /** Lower-case hex. Empty when the endpoint never answered and is in no member list. */
  id: string;
  name: string;
  version: string;
  /** Bytes of the database file, and of the pages in use. */
  dbSize: number;
  dbSizeInUse: number;
  isLeader: boolean;
  isLearner: boolean;
  /** Hex id of the leader that this member follows; "0" when it knows none. */
  leader: string;
  raftTerm: number;
  raftIndex: number;
  raftAppliedIndex: number;
  /** Leader's committed index minus this member's applied index; never negative. */
  lag: number;
  /** Current store revision. */
  revision: number;
  /** Alarms the member knows of, for any member; memberId "0" when the culprit is unknown. */
  alarms: readonly { memberId: string; alarm: string }[];
}

export interface MemberSelection {
  prefer: "Follower" | "Leader" | "Any";
  /** Only this member, by name or hex id. It overrides preference, lag and disagreement. */
  name?: string;
  /** Raft entries. */
  maxLag: number;
  allowWithoutQuorum: boolean;
}

export const defaultSelection: MemberSelection = {
  prefer: "Follower",
  maxLag: 1000,
  allowWithoutQuorum: false,
};

interface Refusals {
  /** Why each of the other members is not the chosen one. */
  refusals: { member: MemberFacts; reason: string }[];
}

export interface ChosenMember extends Refusals {
  chosen: MemberFacts;
  /** Why this member was chosen: one clause for status and tables. */
  reason: string;
  withoutQuorum: boolean;
}

export interface NoMember extends Refusals {
  chosen: undefined;
  problem: NoMemberProblem;
  /** The same for a person: one clause. */
  reason: string;
  withoutQuorum: false;
}

export type MemberChoice = ChosenMember | NoMember;

/**
 * NoEndpoint: the member list is empty. NoAnswer: no endpoint answers. UnknownName: no member has the name that was
 * asked for. NoLeader: no member knows a leader. NoneUsable: each member that answers is refused for its own reason.
 */
export type NoMemberProblem = "NoEndpoint" | "NoAnswer" | "UnknownName" | "NoLeader" | "NoneUsable";

/** Chooses one healthy, voting member that has a leader, is not corrupt and lags at most maxLag; then by preference, lag, name. */
export function chooseMember(members: readonly MemberFacts[], selection: MemberSelection): MemberChoice {
  const quorumLost = members.every((m) => m.error !== undefined || m.leader === "0");
  const withoutQuorum = quorumLost && selection.allowWithoutQuorum;
  const refusals: MemberChoice["refusals"] = [];
  const candidates: MemberFacts[] = [];
  for (const member of members) {
    const reason = refuse(member, selection, withoutQuorum);
    if (reason === undefined) candidates.push(member);
    else refusals.push({ member, reason });
  }
  candidates.sort(withoutQuorum ? byProgress : byPreference(selection.prefer));
  const [chosen, ...others] = candidates;
  if (chosen === undefined) {
    const problem = problemOf(members, selection, quorumLost);
    const reason = describeProblem(problem, members, selection);
    return { chosen, problem, reason, withoutQuorum: false, refusals };
  }
  const reason = whyChosen(chosen, selection, withoutQuorum, candidates.length);
  for (const member of others)
    refusals.push({ member, reason: whyNot(member, chosen, selection, withoutQuorum) });
  return { chosen, reason, withoutQuorum, refusals };
}

function isNamed(member: MemberFacts, selection: MemberSelection): boolean {
  return selection.name !== undefined && (member.name === selection.name || member.id === selection.name);
}

function refuse(member: MemberFacts, selection: MemberSelection, withoutQuorum: boolean): string | undefined {
  if (selection.name !== undefined && !isNamed(member, selection)) return `${selection.name} was asked for`;
  if (member.error !== undefined) return member.error;
  if (member.isLearner) return "learner: it does not vote and may be far behind";
  if (member.leader === "0" && !withoutQuorum) return "has no leader";
  for (const { memberId, alarm } of member.alarms) {
    if (alarm !== "CORRUPT") continue;
    if (memberId === member.id) return "CORRUPT alarm is raised for it";
    if (memberId === "0" && selection.name === undefined)
      return "CORRUPT alarm is raised and the culprit is unknown";
  }
  if (member.lag > selection.maxLag && selection.name === undefined && !withoutQuorum) {
    return `${member.lag} entries behind the leader, more than ${selection.maxLag}`;
  }
  return undefined;
}

type Order = (a: MemberFacts, b: MemberFacts) => number;

const byName: Order = (a, b) =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : a.endpoint < b.endpoint ? -1 : 1;

function byPreference(prefer: MemberSelection["prefer"]): Order {
  const rank = (m: MemberFacts) => (prefer === "Any" ? 0 : m.isLeader === (prefer === "Leader") ? 0 : 1);
  return (a, b) => rank(a) - rank(b) || a.lag - b.lag || byName(a, b);
}

/** With no leader to compare with, the member that applied most has lost least. */
const byProgress: Order = (a, b) =>
  b.raftAppliedIndex - a.raftAppliedIndex || b.raftTerm - a.raftTerm || byName(a, b);

function role(member: MemberFacts): string {
  return member.isLeader ? "leader" : "follower";
}

function whyChosen(
  chosen: MemberFacts,
  selection: MemberSelection,
  withoutQuorum: boolean,
  among: number,
): string {
  if (withoutQuorum)
    return `quorum is lost; highest applied index (${chosen.raftAppliedIndex}) of those that answer`;
  if (selection.name !== undefined) return "asked for by name";
  if (among === 1) return `the only usable member, ${role(chosen)}`;
  if (selection.prefer === "Any") return `smallest lag (${chosen.lag})`;
  const preferred = chosen.isLeader === (selection.prefer === "Leader");
  return preferred
    ? `${role(chosen)}, lag ${chosen.lag}`
    : `no usable ${selection.prefer.toLowerCase()}; ${role(chosen)}, lag ${chosen.lag}`;
}

function whyNot(
  member: MemberFacts,
  chosen: MemberFacts,
  selection: MemberSelection,
  withoutQuorum: boolean,
): string {
  if (withoutQuorum) {
    return member.raftAppliedIndex < chosen.raftAppliedIndex
      ? "applied less than the chosen member"
      : "usable; the other comes first by name";
  }
  if (selection.prefer !== "Any" && member.isLeader !== chosen.isLeader) {
    return member.isLeader
      ? "leader: a follower is spared the load first"
      : "follower: the leader is preferred";
  }
  return member.lag > chosen.lag
    ? `usable; lag ${member.lag} is larger`
    : "usable; the other comes first by name";
}

function problemOf(
  members: readonly MemberFacts[],
  selection: MemberSelection,
  quorumLost: boolean,
): NoMemberProblem {
  if (members.length === 0) return "NoEndpoint";
  if (members.every((m) => m.error !== undefined)) return "NoAnswer";
  if (selection.name !== undefined && !members.some((m) => isNamed(m, selection))) return "UnknownName";
  return quorumLost ? "NoLeader" : "NoneUsable";
}

function describeProblem(
  problem: NoMemberProblem,
  members: readonly MemberFacts[],
  { name = "" }: MemberSelection,
): string {
  switch (problem) {
    case "NoEndpoint":
      return "no endpoint was found";
    case "NoAnswer":
      return members.length === 1
        ? "the endpoint does not answer"
        : `none of ${members.length} endpoints answers`;
    case "UnknownName":
      return `no member is called ${name}; there are ${members.map((m) => m.name || m.endpoint).join(", ")}`;
    case "NoLeader":
      return "no member has a leader: quorum is lost or an election is under way";
    case "NoneUsable":
      return "no member may serve the snapshot";
    default:
      return problem satisfies never;
  }
}
