import { hex8 } from "../hex.ts";

/** HashKV of one member at the compared revision, or why it is missing. */
export interface MemberHash {
  member: string;
  hash?: number;
  compactRevision?: number;
  /** Why the member returned no hash. */
  unavailable?: string;
}

/** The members that share one hash. */
export interface HashGroup {
  hash: number;
  members: string[];
}

export type HashAgreement =
  | { verdict: "agree"; hash: number; compactRevision: number; compared: string[]; missing: MemberHash[] }
  | { verdict: "disagree"; groups: HashGroup[] }
  | { verdict: "inconclusive"; reason: string };

/**
 * Compares HashKV of members at one revision. Only hashes with the same compact revision are comparable, since etcd
 * caches the hash of a compaction under the previous one. The result is inconclusive when the compact revisions differ,
 * when the chosen member has no hash, or when only one of several members has one.
 */
export function agree(hashes: readonly MemberHash[], chosen: string): HashAgreement {
  const known = hashes.filter(
    (h): h is MemberHash & { hash: number; compactRevision: number } =>
      h.hash !== undefined && h.compactRevision !== undefined,
  );
  const missing = hashes.filter((h) => h.hash === undefined || h.compactRevision === undefined);
  const reasons = missing.map((m) => `${m.member}: ${m.unavailable ?? "no answer"}`).join("; ");
  const ofChosen = known.find((h) => h.member === chosen);
  if (known.length === 0) return { verdict: "inconclusive", reason: reasons || "no member was asked" };

  const byCompact = Map.groupBy(known, (h) => h.compactRevision);
  for (const members of byCompact.values()) {
    const byHash = Map.groupBy(members, (h) => h.hash);
    if (byHash.size > 1) {
      return {
        verdict: "disagree",
        groups: [...byHash].map(([hash, group]) => ({ hash, members: group.map((h) => h.member) })),
      };
    }
  }
  if (byCompact.size > 1) {
    return {
      verdict: "inconclusive",
      reason: `members were compacted at different revisions (${[...byCompact.keys()].join(", ")})`,
    };
  }
  if (ofChosen === undefined || (hashes.length > 1 && known.length < 2)) {
    return { verdict: "inconclusive", reason: reasons || `${chosen} was not asked` };
  }
  return {
    verdict: "agree",
    hash: ofChosen.hash,
    compactRevision: ofChosen.compactRevision,
    compared: known.map((h) => h.member),
    missing,
  };
}

/** `equal on m1, m2 at revision 42`, and how long ago it was found: `…, compared 12 minutes ago`. */
export function describeEqual(found: { members: string[]; revision: number; ageMs?: number }): string {
  const { members, revision, ageMs } = found;
  const what = `equal on ${members.join(", ")} at revision ${revision}`;
  if (ageMs === undefined) return what;
  const minutes = Math.floor(ageMs / 60_000);
  const ago = minutes < 1 ? "less than a minute" : minutes === 1 ? "1 minute" : `${minutes} minutes`;
  return `${what}, compared ${ago} ago`;
}

/** `m1 and m2 0a1b2c3d; m3 4e5f6071` */
export function describeGroups(groups: readonly HashGroup[]): string {
  return groups.map(({ hash, members }) => `${members.join(" and ")} ${hex8(hash)}`).join("; ");
}

/** Milliseconds for one member's HashKV: it scans every key, about 20 MB/s on a slow disk. */
export function hashTimeout(dbSize: number): number {
  return 30_000 + dbSize / 20_000;
}
