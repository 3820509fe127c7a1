import type { MemberStatus } from "./last-status.ts";
import type { MemberFacts } from "./member-choice.ts";

/** A healthy follower of leader `a`. */
export function memberFacts(name: string, over: Partial<MemberFacts> = {}): MemberFacts {
  return {
    endpoint: `https://${name}:2379`,
    id: name,
    name,
    version: "3.6.16",
    dbSize: 20_480,
    dbSizeInUse: 20_480,
    isLeader: false,
    isLearner: false,
    leader: "a",
    raftTerm: 2,
    raftIndex: 100,
    raftAppliedIndex: 100,
    lag: 0,
    revision: 42,
    alarms: [],
    ...over,
  };
}

/** What the member answers about itself. */
export function statusOf(member: MemberFacts, over: Partial<MemberStatus> = {}): MemberStatus {
  const { endpoint: _, error: __, id: memberId, name: ___, isLeader: ____, lag: _____, ...facts } = member;
  return { ...facts, clusterId: "cafe", memberId, ...over };
}
