import type { OperatorError } from "../core/errors.ts";
import type { EndpointStatus, ListedMember } from "./answers.ts";

/** One member as far as it answered. The same shape as core's MemberFacts, which knows no adapter. */
export interface MemberObservation extends Omit<EndpointStatus, "clusterId" | "memberId"> {
  endpoint: string;
  /** Why the member did not answer, without its endpoint. */
  error?: string;
  id: string;
  name: string;
  isLeader: boolean;
  lag: number;
}

/** What one endpoint answered: its status, or an error. */
export interface EndpointAnswer {
  url: string;
  status?: EndpointStatus;
  /** The member list as this endpoint knows it. */
  listed?: ListedMember[];
  error?: OperatorError;
  /** The member that was expected at the URL; absent for the endpoints that were given. */
  expectedId?: string;
}

/** Members of the list that have not answered themselves. */
export function membersWithoutAnswer(
  listed: readonly ListedMember[],
  answers: readonly EndpointAnswer[],
): ListedMember[] {
  const answered = new Set(answers.map(({ status }) => status?.memberId));
  return listed.filter(({ id }) => !answered.has(id));
}

/**
 * Two endpoints that answer with one member ID and with different member lists. One member has one list, so these are
 * two members with equal IDs. The lists of different members prove nothing: a member that lags has an old one. Fields
 * that are empty until a member has started are not compared. Undefined when there are no such endpoints.
 */
export function conflictingAnswers(
  answers: readonly EndpointAnswer[],
): { first: string; second: string; id: string } | undefined {
  const known = new Map<string, EndpointAnswer>();
  for (const answer of answers) {
    const { url, status, listed = [] } = answer;
    if (status === undefined) continue;
    const other = known.get(status.memberId);
    known.set(status.memberId, other ?? answer);
    const before = new Map((other?.listed ?? []).map((member) => [member.id, member]));
    const isOther = listed.some((member) => differs(before.get(member.id) ?? member, member));
    if (other !== undefined && isOther) return { first: other.url, second: url, id: status.memberId };
  }
  return undefined;
}

function differs(a: ListedMember, b: ListedMember): boolean {
  if (a.name !== "" && b.name !== "" && a.name !== b.name) return true;
  return isDisjoint(a.clientURLs, b.clientURLs) || isDisjoint(a.peerURLs, b.peerURLs);
}

function isDisjoint(a: readonly string[], b: readonly string[]): boolean {
  return a.length > 0 && b.length > 0 && !a.some((url) => b.includes(url));
}

/** One row a member, sorted by name and endpoint. Of several endpoints of one member the first that answered counts. */
export function mergeAnswers(
  answers: readonly EndpointAnswer[],
  listed: readonly ListedMember[],
): MemberObservation[] {
  const committed = committedIndex(answers);
  const rows = new Map<string, MemberObservation>();
  for (const answer of answers) {
    const { url, status } = answer;
    const id =
      status?.memberId ?? answer.expectedId ?? listed.find((m) => m.clientURLs.includes(url))?.id ?? "";
    const key = id === "" ? url : id;
    const known = rows.get(key);
    if (known !== undefined && known.error === undefined) continue;
    const member = listed.find((m) => m.id === id);
    const name = member?.name ?? "";
    rows.set(
      key,
      status === undefined ? rowWithoutStatus(answer, id, member) : rowOf(status, { url, name, committed }),
    );
  }
  return [...rows.values()].toSorted((a, b) => compare(a.name, b.name) || compare(a.endpoint, b.endpoint));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The leader's committed index, or the highest known one when the leader does not answer. */
function committedIndex(answers: readonly EndpointAnswer[]): number {
  const statuses = answers.flatMap(({ status }) => (status === undefined ? [] : [status]));
  const newestTerm = Math.max(...statuses.map((s) => s.raftTerm));
  // A deposed leader still names itself as the leader until it learns of the new term.
  const leader = statuses.find((s) => s.leader === s.memberId && s.raftTerm === newestTerm);
  return leader?.raftIndex ?? Math.max(0, ...statuses.map((s) => s.raftIndex));
}

function rowOf(
  status: EndpointStatus,
  { url, name, committed }: { url: string; name: string; committed: number },
): MemberObservation {
  const { clusterId: _, memberId: id, ...facts } = status;
  const lag = Math.max(0, committed - facts.raftAppliedIndex);
  return { ...facts, endpoint: url, id, name, isLeader: facts.leader === id, lag };
}

function rowWithoutStatus(
  { url, error }: EndpointAnswer,
  id: string,
  member: ListedMember | undefined,
): MemberObservation {
  return {
    endpoint: url,
    error: error?.summary ?? "no answer",
    id,
    name: member?.name ?? "",
    version: "",
    revision: 0,
    dbSize: 0,
    dbSizeInUse: 0,
    leader: "0",
    raftTerm: 0,
    raftIndex: 0,
    raftAppliedIndex: 0,
    isLearner: member?.isLearner ?? false,
    isLeader: false,
    lag: 0,
    alarms: [],
  };
}
