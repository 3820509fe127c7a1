import { asOperatorError, OperatorError } from "../core/errors.ts";
import type { EndpointStatus, ListedMember } from "./answers.ts";
import type { EtcdEndpoint } from "./endpoint.ts";
import {
  type EndpointAnswer,
  type MemberObservation,
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
 */
export async function observeCluster(
  endpoints: readonly string[],
  open: OpenEndpoint,
  signal: AbortSignal,
): Promise<ClusterObservation> {
  const given = await Promise.all(endpoints.map((url) => ask(open, url, signal)));
  const clusterId = clusterIdOf(given);
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
