import { wholeSeconds } from "../conditions.ts";

/** What the verifications of one folder's backups have found. */
export interface Marks {
  /** When each backup was last verified, by its name: seconds since the epoch, by the operator's clock. */
  readonly verified: ReadonlyMap<string, number>;
  /** Why the last verification of a backup failed, by its name. */
  readonly problems: ReadonlyMap<string, string>;
}

export const noMarks: Marks = { verified: new Map(), problems: new Map() };

/** The result of one verification. Without `problem` every byte of the backup agreed with its manifest. */
export interface Verdict {
  name: string;
  at: Date;
  problem?: string;
}

/** Characters of a problem that a mark keeps. */
const longestProblem = 512;

/** The marks after another verification, of the backups that still exist. */
export function withVerdict(
  { verified, problems }: Marks,
  { name, at, problem }: Verdict,
  exists: (name: string) => boolean,
): Marks {
  const next = {
    verified: new Map([...verified].filter(([other]) => exists(other))),
    problems: new Map([...problems].filter(([other]) => other !== name && exists(other))),
  };
  next.verified.set(name, Math.floor(at.getTime() / 1000));
  if (problem !== undefined) next.problems.set(name, problem.slice(0, longestProblem));
  return next;
}

/** Of each backup the later mark. */
export function merged(one: Marks, other: Marks): Marks {
  const verified = new Map(one.verified);
  const problems = new Map(one.problems);
  for (const [name, at] of other.verified) {
    if (at < (verified.get(name) ?? 0)) continue;
    const problem = other.problems.get(name);
    verified.set(name, at);
    if (problem === undefined) problems.delete(name);
    else problems.set(name, problem);
  }
  return { verified, problems };
}

/** Why the mark of a backup keeps it from being counted as one that can be restored. */
export function markedProblem({ verified, problems }: Marks, name: string): string | undefined {
  const problem = problems.get(name);
  if (problem === undefined) return undefined;
  return `its last verification failed on ${wholeSeconds(new Date((verified.get(name) ?? 0) * 1000))}: ${problem}`;
}
