/** The state of one member, or of one endpoint that did not answer. */
export interface MemberFacts {
  endpoint: string;
  /** Why the member did not answer. The other fields then hold only what the member list reports. */
  error?: string;
  /** Lower-case hex. Empty for an endpoint that did not answer and is in no member list. */
  id: string;
  name: string;
  version: string;
  /** Bytes of the database file, and of the pages in use. */
  dbSize: number;
  dbSizeInUse: number;
  isLeader: boolean;
  isLearner: boolean;
  /** Hex ID of the leader that this member follows; "0" when it has none. */
  leader: string;
  raftTerm: number;
  raftIndex: number;
  raftAppliedIndex: number;
  /** The leader's committed index minus this member's applied index; never negative. */
  lag: number;
  /** Current store revision. */
  revision: number;
  /** Alarms that this member reports, of any member. memberId is "0" when etcd does not know the corrupt member. */
  alarms: readonly { memberId: string; alarm: string }[];
}

export interface MemberSelection {
  prefer: "Follower" | "Leader" | "Any";
  /** Allows only this member, by name or hex ID. It overrides prefer, maxLag and a difference of HashKV. */
  name?: string;
  /** Raft entries that a member may be behind the leader. */
  maxLag: number;
  allowWithoutQuorum: boolean;
}

export const defaultSelection: MemberSelection = {
  prefer: "Follower",
  maxLag: 1000,
  allowWithoutQuorum: false,
};

interface Refusals {
  /** Why each of the other members was not chosen. */
  refusals: { member: MemberFacts; reason: string }[];
}

export interface ChosenMember extends Refusals {
  chosen: MemberFacts;
  /** Why this member was chosen, as one clause for status and tables. */
  reason: string;
  withoutQuorum: boolean;
}

export interface NoMember extends Refusals {
  chosen: undefined;
  problem: NoMemberProblem;
  /** The problem as one clause for a person. */
  reason: string;
  withoutQuorum: false;
}

export type MemberChoice = ChosenMember | NoMember;

/**
 * NoEndpoint: the member list is empty. NoAnswer: no endpoint answers. UnknownName: no member has the selected name.
 * NoLeader: no member has a leader. NoneUsable: every member that answers is refused for its own reason.
 */
export type NoMemberProblem = "NoEndpoint" | "NoAnswer" | "UnknownName" | "NoLeader" | "NoneUsable";

/**
 * Chooses the member to read the snapshot from. It answers, votes, has a leader, has no CORRUPT alarm and lags at most
 * maxLag. Several candidates are ordered by preference, then by lag, then by name.
 */
export function chooseMember(members: readonly MemberFacts[], selection: MemberSelection): MemberChoice {
  const quorumLost = members.every((m) => m.error !== undefined || m.leader === "0");
  const withoutQuorum = quorumLost && selection.allowWithoutQuorum;
  const refusals: MemberChoice["refusals"] = [];
  const candidates: MemberFacts[] = [];
  for (const member of members) {
    const reason = whyRefused(member, selection, withoutQuorum);
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
    refusals.push({ member, reason: whyNotChosen(member, chosen, selection, withoutQuorum) });
  return { chosen, reason, withoutQuorum, refusals };
}

function isNamed(member: MemberFacts, selection: MemberSelection): boolean {
  return selection.name !== undefined && (member.name === selection.name || member.id === selection.name);
}

/** Why the member may not serve the snapshot, as one clause. */
export function whyRefused(
  member: MemberFacts,
  selection: MemberSelection,
  withoutQuorum: boolean,
): string | undefined {
  if (selection.name !== undefined && !isNamed(member, selection))
    return `member ${selection.name} is selected by name`;
  if (member.error !== undefined) return member.error;
  if (member.isLearner) return "learner: it does not vote and may be far behind";
  if (member.leader === "0" && !withoutQuorum) return "has no leader";
  for (const { memberId, alarm } of member.alarms) {
    if (alarm !== "CORRUPT") continue;
    if (memberId === member.id) return "the CORRUPT alarm is raised for this member";
    if (memberId === "0" && selection.name === undefined)
      return "the CORRUPT alarm is raised and does not name the corrupt member";
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

/** Without a leader there is no lag. The member with the highest applied index has lost the fewest writes. */
const byProgress: Order = (a, b) =>
  b.raftAppliedIndex - a.raftAppliedIndex || b.raftTerm - a.raftTerm || byName(a, b);

function role(member: MemberFacts): string {
  return member.isLeader ? "leader" : "follower";
}

function whyChosen(
  chosen: MemberFacts,
  selection: MemberSelection,
  withoutQuorum: boolean,
  candidateCount: number,
): string {
  if (withoutQuorum)
    return `quorum is lost; highest applied index (${chosen.raftAppliedIndex}) of the members that answer`;
  if (selection.name !== undefined) return "selected by name (--member, spec.etcd.memberSelection.name)";
  if (candidateCount === 1) return `the only usable member, ${role(chosen)}`;
  if (selection.prefer === "Any") return `smallest lag (${chosen.lag})`;
  const preferred = chosen.isLeader === (selection.prefer === "Leader");
  return preferred
    ? `${role(chosen)}, lag ${chosen.lag}`
    : `no usable ${selection.prefer.toLowerCase()}; ${role(chosen)}, lag ${chosen.lag}`;
}

function whyNotChosen(
  member: MemberFacts,
  chosen: MemberFacts,
  selection: MemberSelection,
  withoutQuorum: boolean,
): string {
  if (withoutQuorum) {
    return member.raftAppliedIndex < chosen.raftAppliedIndex
      ? "its applied index is lower than the chosen member's"
      : "usable; the chosen member comes first by name";
  }
  if (selection.prefer !== "Any" && member.isLeader !== chosen.isLeader) {
    return member.isLeader
      ? "leader: a follower is preferred, to keep load off the leader"
      : "follower: the leader is preferred";
  }
  return member.lag > chosen.lag
    ? `usable; its lag ${member.lag} is larger`
    : "usable; the chosen member comes first by name";
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
      return `no member is named ${name}; the members are ${members.map((m) => m.name || m.endpoint).join(", ")}`;
    case "NoLeader":
      return "no member has a leader: quorum is lost or an election is under way";
    case "NoneUsable":
      return "no member may serve the snapshot";
    default:
      return problem satisfies never;
  }
}
