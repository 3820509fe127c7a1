import { asOperatorError, OperatorError } from "../core/errors.ts";
import type { EndpointStatus, ListedMember } from "./answers.ts";
import type { EtcdEndpoint } from "./endpoint.ts";
import {
  type EndpointAnswer,
  type MemberObservation,
  conflictingAnswers,
  membersWithoutAnswer,
  mergeAnswers,
} from "./member-observation.ts";

export interface ClusterObservation {
  /** Hex. Empty when no endpoint answered. */
  clusterId: string;
  members: MemberObservation[];
}

type OpenEndpoint = (url: string) => Pick<EtcdEndpoint, "status" | "members">;

/**
 * Asks every endpoint, then every member that the member list adds. A member that does not answer is a row with an
 * error. Throws Refused when the endpoints belong to several clusters.
 *
 * etcd derives the IDs of a new cluster and its members from their peer URLs and the cluster's token. Different IDs
 * prove different clusters. Equal IDs do not prove one: clusters made from one template have equal IDs. They are
 * told apart only when two endpoints answer with one member ID and with different names or URLs in their member lists.
 */
export async function observeCluster(
  endpoints: readonly string[],
  open: OpenEndpoint,
  signal: AbortSignal,
): Promise<ClusterObservation> {
  const given = await Promise.all(endpoints.map((url) => ask(open, url, signal)));
  const clusterId = clusterIdOf(given);
  checkOneMemberPerId(given);
  const listed = given.find((answer) => answer.listed !== undefined)?.listed ?? [];
  // Passwords and certificates given for https are never sent to a plain http URL of the member list.
  const httpsOnly = endpoints.every((url) => url.startsWith("https:"));
  const others = await Promise.all(
    membersWithoutAnswer(listed, given).map((member) => askMember(open, member, { httpsOnly, signal })),
  );
  return { clusterId, members: mergeAnswers([...given, ...others], listed) };
}

function clusterIdOf(answers: readonly EndpointAnswer[]): string {
  const answered = answers.flatMap(({ url, status }) => (status === undefined ? [] : [{ url, status }]));
  const ids = new Set(answered.map(({ status }) => status.clusterId));
  if (ids.size > 1) {
    const each = answered.map(({ url, status }) => `${url} to cluster ${status.clusterId}`).join(", ");
    throw new OperatorError("Refused", `the endpoints belong to ${ids.size} different clusters: ${each}`, {
      hint: "give the endpoints of one cluster",
    });
  }
  return answered[0]?.status.clusterId ?? "";
}

/** Not permanent: the members may change between the two answers. */
function checkOneMemberPerId(answers: readonly EndpointAnswer[]): void {
  const conflict = conflictingAnswers(answers);
  if (conflict === undefined) return;
  const { first, second, id } = conflict;
  const message = `${first} and ${second} are answered by two members with the ID ${id}: they belong to different clusters made from one template`;
  throw new OperatorError("Refused", message, {
    permanent: false,
    hint: "give the endpoints of one cluster, and give each new cluster its own token (--initial-cluster-token)",
  });
}

async function ask(open: OpenEndpoint, url: string, signal: AbortSignal): Promise<EndpointAnswer> {
  try {
    const endpoint = open(url);
    const status = await endpoint.status(signal);
    // A member that answers the status but not the member list still counts.
    const listed = await endpoint.members(signal).catch(() => undefined);
    return listed === undefined ? { url, status } : { url, status, listed };
  } catch (error) {
    signal.throwIfAborted();
    return { url, error: asOperatorError(error) };
  }
}

/** The first of the member's client URLs that this member answers, else the failure of the last one. */
async function askMember(
  open: OpenEndpoint,
  member: ListedMember,
  { httpsOnly, signal }: { httpsOnly: boolean; signal: AbortSignal },
): Promise<EndpointAnswer> {
  const expectedId = member.id;
  const failed = (url: string, error: OperatorError): EndpointAnswer => ({ url, error, expectedId });
  let last = failed(
    member.peerURLs[0] ?? "",
    new OperatorError("Unreachable", "it has not started: the member list has no client URL for it"),
  );
  for (const url of member.clientURLs) {
    if (httpsOnly && !url.startsWith("https:")) {
      last = failed(
        url,
        new OperatorError("Refused", "it advertises plain http, and the endpoints given are https"),
      );
      continue;
    }
    const answer = await ask(open, url, signal);
    if (answer.status?.memberId === expectedId) return { ...answer, expectedId };
    last =
      answer.status === undefined
        ? { ...answer, expectedId }
        : failed(url, anotherMember(url, answer.status));
  }
  return last;
}

function anotherMember(url: string, { memberId }: EndpointStatus): OperatorError {
  return new OperatorError("Unreachable", `${url} is answered by another member (${memberId})`);
}
