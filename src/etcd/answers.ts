import type { IHashKVResponse, IMemberListResponse, IStatusResponse } from "etcd3";
import { parseAlarm } from "./errors.ts";

/** What one member answers about itself. IDs are lower-case hex, sizes bytes. */
export interface EndpointStatus {
  clusterId: string;
  memberId: string;
  revision: number;
  version: string;
  dbSize: number;
  dbSizeInUse: number;
  /** "0" when the member knows no leader. */
  leader: string;
  raftTerm: number;
  /** The committed index. */
  raftIndex: number;
  raftAppliedIndex: number;
  isLearner: boolean;
  alarms: { memberId: string; alarm: string }[];
}

export interface ListedMember {
  /** Lower-case hex. */
  id: string;
  /** Empty until the member has started. */
  name: string;
  /** None until the member has started. */
  clientURLs: string[];
  peerURLs: string[];
  isLearner: boolean;
}

export interface HashKV {
  hash: number;
  compactRevision: number;
}

export function endpointStatus(answer: IStatusResponse): EndpointStatus {
  return {
    clusterId: hex(answer.header.cluster_id),
    memberId: hex(answer.header.member_id),
    revision: Number(answer.header.revision),
    version: answer.version,
    dbSize: Number(answer.dbSize),
    dbSizeInUse: Number(answer.dbSizeInUse),
    leader: hex(answer.leader),
    raftTerm: Number(answer.raftTerm),
    raftIndex: Number(answer.raftIndex),
    raftAppliedIndex: Number(answer.raftAppliedIndex),
    isLearner: answer.isLearner,
    alarms: answer.errors.flatMap((text) => {
      const parsed = parseAlarm(text);
      return parsed === undefined ? [] : [{ memberId: hex(parsed.memberId), alarm: parsed.alarm }];
    }),
  };
}

export function listedMembers(answer: IMemberListResponse): ListedMember[] {
  return answer.members.map(({ ID, name, clientURLs, peerURLs, isLearner }) => ({
    id: hex(ID),
    name,
    clientURLs,
    peerURLs,
    isLearner,
  }));
}

export function hashKV(answer: IHashKVResponse): HashKV {
  return { hash: Number(answer.hash), compactRevision: Number(answer.compact_revision) };
}

/** etcd's tools print IDs in hex; its answers hold them in decimal. */
function hex(decimal: string): string {
  return BigInt(decimal).toString(16);
}
