import { createHash } from "node:crypto";

/**
 * The cluster ID, hex, that etcd computes for a new cluster from its token and the peer URLs of each member
 * (server/etcdserver/api/membership: `NewMember`, `genID`). A member's ID is the beginning of a SHA-1 of its sorted peer
 * URLs and the token; the cluster's that of a SHA-1 of its sorted member IDs.
 */
export function clusterIdOf(token: string, members: readonly { peerUrls: readonly string[] }[]): string {
  const ids = members.map(({ peerUrls }) => idOf(Buffer.from(`${peerUrls.toSorted().join("")}${token}`)));
  const sorted = ids.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const bytes = Buffer.alloc(8 * sorted.length);
  for (const [index, id] of sorted.entries()) bytes.writeBigUInt64BE(id, 8 * index);
  return idOf(bytes).toString(16);
}

function idOf(bytes: Buffer): bigint {
  return createHash("sha1").update(bytes).digest().readBigUInt64BE(0);
}
