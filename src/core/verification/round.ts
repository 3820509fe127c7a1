import type { Times } from "../schedule/decide.ts";
import type { Marks } from "./marks.ts";

/** Up to when the times of a schedule were handled, and which schedule that was. */
export interface Handled {
  until: Date;
  /** See `expressionOf`. */
  schedule: string;
}

export type RoundDecision =
  /** Undefined: no time ever comes. */
  | { do: "wait"; until: Date | undefined }
  /** No time up to `until` counts: the schedule is new or has changed, or the clock was set back. */
  | { do: "pass"; until: Date }
  /** Each folder has its turn once since `due`. */
  | { do: "verify"; due: Date };

/** Milliseconds. A clock that is behind by less is waited for. */
const clockSlackMs = 24 * 3_600_000;

/** What `Handled.schedule` names. */
export function expressionOf({ schedule, timeZone }: { schedule: string; timeZone: string }): string {
  return `${schedule} ${timeZone}`;
}

/** What to do about the verifications of one store now. Of all times that were missed only the last one counts. */
export function decideRound(
  times: Times,
  { expression, handled, now }: { expression: string; handled: Handled | undefined; now: Date },
): RoundDecision {
  const isAhead = handled !== undefined && handled.until.getTime() > now.getTime() + clockSlackMs;
  if (handled === undefined || handled.schedule !== expression || isAhead) return { do: "pass", until: now };
  const due = times.lastUpTo(now, handled.until);
  if (due !== undefined) return { do: "verify", due };
  return { do: "wait", until: times.nextAfter(handled.until > now ? handled.until : now) };
}

/** A folder as the choice sees it. */
export interface VerifiableFolder {
  clusterName: string;
  /** The backups that this release can read. */
  names: readonly string[];
  marks: Marks;
}

/** One round, from its due time on. */
export interface Round {
  due: Date;
  now: Date;
}

/** Backups that failed before and are verified again in one round and folder, besides the one whose turn it is. */
const mostRepeated = 3;

/** Seconds since the epoch; 0: never. A time far ahead is of a clock that was wrong, and says nothing. */
function verifiedAt({ marks }: VerifiableFolder, name: string, { now }: Round): number {
  const at = marks.verified.get(name) ?? 0;
  return at * 1000 > now.getTime() + clockSlackMs ? 0 : at;
}

function isSince(at: number, { due }: Round): boolean {
  return at >= Math.floor(due.getTime() / 1000);
}

/** How many backups were verified in the round. */
export function countVerified(folder: VerifiableFolder, round: Round): number {
  return folder.names.filter((name) => isSince(verifiedAt(folder, name, round), round)).length;
}

/** The folders in the order of their turns: that with the oldest verification first, so that none starves. */
export function inTurn(folders: readonly VerifiableFolder[], round: Round): VerifiableFolder[] {
  const last = (folder: VerifiableFolder) =>
    folder.names.reduce((most, name) => Math.max(most, verifiedAt(folder, name, round)), 0);
  return folders
    .map((folder) => ({ folder, at: last(folder) }))
    .toSorted((a, b) => a.at - b.at || (a.folder.clusterName < b.folder.clusterName ? -1 : 1))
    .map(({ folder }) => folder);
}

/** Whether the folder had its turn in the round. Those that failed before may still be verified again. */
export function hadTurn(folder: VerifiableFolder, round: Round): boolean {
  return countVerified(folder, round) > 0;
}

/** The backup whose verification is the oldest; of those that were never verified the one with the oldest name. */
export function oldestVerified(folder: VerifiableFolder, round: Round): string | undefined {
  return oldestOf(folder, folder.names, round);
}

/** A backup that failed before the round, and is verified again in it: it may have been repaired. */
export function failedBefore(folder: VerifiableFolder, round: Round): string | undefined {
  const failed = folder.names.filter((name) => folder.marks.problems.has(name));
  const before = failed.filter((name) => !isSince(verifiedAt(folder, name, round), round));
  return failed.length - before.length < mostRepeated ? oldestOf(folder, before, round) : undefined;
}

function oldestOf(folder: VerifiableFolder, names: readonly string[], round: Round): string | undefined {
  const [oldest] = names
    .map((name) => ({ name, at: verifiedAt(folder, name, round) }))
    .toSorted((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1));
  return oldest?.name;
}
