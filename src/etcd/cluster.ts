import { OperatorError, asOperatorError } from "../core/errors.ts";
import type { EndpointStatus, HashKV, ListedMember } from "./answers.ts";
import { type EtcdAccess, type EtcdEndpoint, openEndpoint } from "./endpoint.ts";
import type { SnapshotStream } from "./snapshot-stream.ts";

/** One member as far as it could be asked. The same shape as the core's MemberFacts, on purpose. */
export interface MemberObservation extends Omit<EndpointStatus, "clusterId" | "memberId"> {
  endpoint: string;
  error?: string;
  id: string;
  name: string;
  isLeader: boolean;
  lag: number;
}

export interface ClusterObservation {
  /** Hex. Empty when no endpoint answered. */
  clusterId: string;
  members: MemberObservation[];
}

/** The members of one etcd cluster. Connections stay open until it is disposed of. */
export interface EtcdCluster extends AsyncDisposable {
  /** Asks every endpoint, and every member the member list adds. One that does not answer is a row with an error. */
  observe(signal: AbortSignal): Promise<ClusterObservation>;
  hashKV(
    endpoint: string,
    revision: number,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<HashKV>;
  /** Throws Unreachable when the endpoint is by now answered by another member. */
  snapshot(member: { endpoint: string; id: string }, signal: AbortSignal): Promise<SnapshotStream>;
  countKeys(endpoint: string, revision: number, signal: AbortSignal): Promise<number>;
  disarm(endpoint: string, alarm: { memberId: string; alarm: string }, signal: AbortSignal): Promise<void>;
}

interface Answer {
  url: string;
  status?: EndpointStatus;
  listed?: ListedMember[];
  error?: OperatorError;
}

export function openCluster(endpoints: readonly string[], access: EtcdAccess): EtcdCluster {
  const opened = new Map<string, EtcdEndpoint>();
  const endpointOf = (url: string): EtcdEndpoint => {
    const known = opened.get(url);
    if (known !== undefined) return known;
    const endpoint = openEndpoint(url, access);
    opened.set(url, endpoint);
    return endpoint;
  };

  async function ask(url: string, signal: AbortSignal): Promise<Answer> {
    try {
      const endpoint = endpointOf(url);
      const status = await endpoint.status(signal);
      // A member that answers status but not the list is still a member.
      const listed = await endpoint.members(signal).catch(() => undefined);
      return listed === undefined ? { url, status } : { url, status, listed };
    } catch (error) {
      signal.throwIfAborted();
      return { url, error: asOperatorError(error) };
    }
  }

  return {
    async observe(signal) {
      // Passwords and certificates that were meant for TLS do not follow the member list onto plain http.
      const secure = endpoints.every((url) => url.startsWith("https:"));
      const given = await Promise.all(endpoints.map((url) => ask(url, signal)));
      const answered = given.flatMap((a) => (a.status === undefined ? [] : [{ ...a, status: a.status }]));
      const clusterIds = new Set(answered.map((a) => a.status.clusterId));
      if (clusterIds.size > 1) {
        throw new OperatorError(
          "Refused",
          `the endpoints belong to ${clusterIds.size} different clusters: ${answered.map((a) => `${a.url} to ${a.status.clusterId}`).join(", ")}`,
          {
            hint: "give the endpoints of one cluster",
          },
        );
      }
      const listed = answered.find((a) => a.listed !== undefined)?.listed ?? [];
      const others = await Promise.all(
        missing(listed, answered).map((m) => askMember(m, secure, signal, ask)),
      );
      return {
        clusterId: answered[0]?.status.clusterId ?? "",
        members: merge([...given, ...others], listed),
      };
    },
    hashKV: (endpoint, revision, options) => endpointOf(endpoint).hashKV(revision, options),
    countKeys: (endpoint, revision, signal) => endpointOf(endpoint).countKeys(revision, signal),
    disarm: (endpoint, alarm, signal) => endpointOf(endpoint).disarm(alarm, signal),
    async snapshot({ endpoint, id }, signal) {
      const member = endpointOf(endpoint);
      // Minutes may have passed since the choice, and a name or load balancer may lead elsewhere by now.
      const { memberId } = await member.status(signal);
      if (memberId !== id) {
        throw new OperatorError(
          "Unreachable",
          `${endpoint} is answered by member ${memberId}, not by ${id} that was chosen`,
        );
      }
      return member.snapshot(signal);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...opened.values()].map((endpoint) => endpoint[Symbol.asyncDispose]()));
      opened.clear();
    },
  };
}

function missing(
  listed: readonly ListedMember[],
  answered: readonly { status: EndpointStatus }[],
): ListedMember[] {
  const seen = new Set(answered.map((a) => a.status.memberId));
  return listed.filter((m) => !seen.has(m.id));
}

/** The first of the member's client URLs that answers as this member. */
async function askMember(
  member: ListedMember,
  secure: boolean,
  signal: AbortSignal,
  ask: (url: string, signal: AbortSignal) => Promise<Answer>,
): Promise<Answer & { id: string }> {
  if (member.clientURLs.length === 0) {
    return {
      id: member.id,
      url: member.peerURLs[0] ?? "",
      error: new OperatorError("Unreachable", "it has not started: the member list has no client URL for it"),
    };
  }
  let last: Answer | undefined;
  for (const url of member.clientURLs) {
    if (secure && !url.startsWith("https:")) {
      last = {
        url,
        error: new OperatorError("Refused", "it advertises plain http, and the endpoints given are https"),
      };
      continue;
    }
    last = await ask(url, signal);
    if (last.status?.memberId === member.id) return { ...last, id: member.id };
    if (last.status !== undefined) {
      last = {
        url,
        error: new OperatorError(
          "Unreachable",
          `${url} is answered by another member (${last.status.memberId})`,
        ),
      };
    }
  }
  return { ...(last ?? { url: "" }), id: member.id };
}

/** One row a member, in the order of names; endpoints that reach a member already seen are left out. */
function merge(
  answers: readonly (Answer & { id?: string })[],
  listed: readonly ListedMember[],
): MemberObservation[] {
  const leaderIndex = committedIndex(answers);
  const rows = new Map<string, MemberObservation>();
  for (const { url, status, error, id: askedFor } of answers) {
    const id = status?.memberId ?? askedFor ?? listed.find((m) => m.clientURLs.includes(url))?.id ?? "";
    const key = id === "" ? url : id;
    if (rows.get(key)?.error === undefined && rows.has(key)) continue;
    const member = listed.find((m) => m.id === id);
    const name = member?.name ?? "";
    rows.set(
      key,
      status === undefined ? silent(url, id, name, member, error) : row(url, name, status, leaderIndex),
    );
  }
  return [...rows.values()].toSorted((a, b) =>
    a.name < b.name ? -1 : a.name > b.name ? 1 : a.endpoint < b.endpoint ? -1 : 1,
  );
}

/** The leader's committed index, or the highest known where the leader does not answer. */
function committedIndex(answers: readonly Answer[]): number {
  const statuses = answers.flatMap((a) => (a.status === undefined ? [] : [a.status]));
  const newest = Math.max(...statuses.map((s) => s.raftTerm));
  // A deposed leader calls itself one until it hears of the new term.
  const leader = statuses.find((s) => s.leader === s.memberId && s.raftTerm === newest);
  return leader?.raftIndex ?? Math.max(0, ...statuses.map((s) => s.raftIndex));
}

function row(endpoint: string, name: string, status: EndpointStatus, leaderIndex: number): MemberObservation {
  const { clusterId: _, memberId: id, ...facts } = status;
  return {
    ...facts,
    endpoint,
    id,
    name,
    isLeader: status.leader === id,
    lag: Math.max(0, leaderIndex - status.raftAppliedIndex),
  };
}

function silent(
  endpoint: string,
  id: string,
  name: string,
  member: ListedMember | undefined,
  error: OperatorError | undefined,
): MemberObservation {
  return {
    endpoint,
    error: error?.summary ?? "no answer",
    id,
    name,
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
