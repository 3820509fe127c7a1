import type { MemberFacts } from "./member-choice.ts";

/** Milliseconds for which an agreement of HashKV may be reused. */
export const reuseForMs = 3_600_000;

/** What tells the voting members of two observations apart. Equal for the same IDs at the same endpoints. */
export function votersKey(members: readonly MemberFacts[]): string {
  return JSON.stringify(
    votersOf(members)
      .map(({ id, endpoint }) => [id, endpoint])
      .toSorted(([a = ""], [b = ""]) => (a < b ? -1 : a > b ? 1 : 0)),
  );
}

/**
 * Whether an agreement at `revision` that was found when the members were as in `before` still holds for the members of
 * now, which have the same `votersKey`. Every member has to answer without the CORRUPT alarm. A term, an index or a
 * revision that has gone back is that of another cluster: one that is restored with the same names has the same IDs.
 */
export function mayReuse(
  { before, revision }: { before: readonly MemberFacts[]; revision: number },
  now: readonly MemberFacts[],
): boolean {
  const earlier = new Map(votersOf(before).map((m) => [m.id, m]));
  return votersOf(now).every((m) => {
    const old = earlier.get(m.id);
    if (old === undefined || m.error !== undefined) return false;
    if (m.alarms.some(({ alarm }) => alarm === "CORRUPT")) return false;
    return m.raftTerm >= old.raftTerm && m.raftIndex >= old.raftIndex && m.revision >= revision;
  });
}

function votersOf(members: readonly MemberFacts[]): MemberFacts[] {
  return members.filter(({ isLearner }) => !isLearner);
}
