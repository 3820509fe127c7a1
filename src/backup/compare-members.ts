import { OperatorError, asOperatorError } from "../core/errors.ts";
import { type HashAgreement, type MemberHash, agree } from "../core/etcd/hash-agreement.ts";
import type { MemberFacts, MemberSelection } from "../core/etcd/member-choice.ts";
import type { Manifest } from "./manifest/manifest.ts";
import type { SaveStep, SnapshotCluster } from "./progress.ts";
import { hex8 } from "./transfer.ts";

/** Milliseconds for one member's HashKV: it scans every key, about 20 MB/s on a slow disk. */
const hashTimeout = (dbSize: number) => 30_000 + dbSize / 20_000;

export interface CompareOptions {
  cluster: Pick<SnapshotCluster, "observe" | "hashKV">;
  hashKV: "WhenAvailable" | "Required" | "Skip";
  selection: MemberSelection;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
}

/** HashKV of the voting members at one revision, one member after the other. Undefined when nothing could be compared. */
export async function compareMembers(
  members: readonly MemberFacts[],
  chosen: MemberFacts,
  withoutQuorum: boolean,
  options: CompareOptions,
): Promise<Manifest["hashKV"]> {
  if (options.hashKV === "Skip") return undefined;
  const step = options.onStep ?? (() => {});
  const voting = members.filter((m) => !m.isLearner);
  let asked = voting.filter((m) => silence(m) === undefined);
  let silent: MemberHash[] = voting.flatMap((m) => {
    const unavailable = silence(m);
    return unavailable === undefined ? [] : [{ member: m.name || m.endpoint, unavailable }];
  });
  const nameOf = (m: MemberFacts) => m.name || m.endpoint;
  let revision = commonRevision(asked, chosen, options);
  let verdict: HashAgreement = { verdict: "inconclusive", reason: `only ${nameOf(chosen)} can be asked` };
  // A busy cluster may compact the revision away between two members: then a newer one is tried.
  for (let attempt = 0; attempt < 3 && (asked.length > 1 || silent.length === 0); attempt++) {
    const { all, late } = await hashes(asked, revision, options);
    verdict = agree([...all, ...silent], nameOf(chosen));
    if (verdict.verdict !== "inconclusive") break;
    // Who did not answer in all that time is not waited for again.
    asked = asked.filter((m) => !late.has(m));
    silent = [...silent, ...late.values()];
    const { members: later } = await options.cluster.observe(options.signal);
    const again = later.find((m) => m.id === chosen.id && m.error === undefined) ?? chosen;
    revision = commonRevision(later, again, options);
  }
  switch (verdict.verdict) {
    case "disagree": {
      const groups = verdict.groups.map((g) => `${g.members.join(" and ")} ${hex8(g.hash)}`).join("; ");
      const named = options.selection.name !== undefined;
      if (!named) {
        throw new OperatorError(
          "MembersDisagree",
          `HashKV differs between members at revision ${revision}: ${groups}`,
          {
            permanent: true,
            hint: "find out which member holds the truth, then name it (--member, spec.etcd.memberSelection.name)",
          },
        );
      }
      step({ step: "HashesDisagree", groups, member: nameOf(chosen) });
      return undefined;
    }
    case "inconclusive":
      if (options.hashKV === "Required") throw notCompared(verdict.reason);
      step({ step: "HashesUnknown", reason: verdict.reason });
      return undefined;
    case "agree":
      if (options.hashKV === "Required" && verdict.missing.length > 0 && !withoutQuorum) {
        throw notCompared(
          verdict.missing.map((m) => `${m.member}: ${m.unavailable ?? "no answer"}`).join("; "),
        );
      }
      step({ step: "HashesAgree", members: verdict.compared, hash: verdict.hash, revision });
      return {
        revision,
        hash: verdict.hash,
        compactRevision: verdict.compactRevision,
        membersCompared: verdict.compared,
      };
    default:
      return verdict satisfies never;
  }
}

/** Why a member's hash says nothing of the cluster: etcd itself has found out the corrupt one, and backups go on without it. */
function silence({ error, id, alarms }: MemberFacts): string | undefined {
  if (error !== undefined) return error;
  const isCorrupt = alarms.some(({ alarm, memberId }) => alarm === "CORRUPT" && memberId === id);
  return isCorrupt ? "etcd has raised the CORRUPT alarm for it" : undefined;
}

/** One that the members within maxLag have applied: a member far behind must not drag it below the others' compaction. */
function commonRevision(
  members: readonly MemberFacts[],
  chosen: MemberFacts,
  { selection }: CompareOptions,
): number {
  const current = members.filter((m) => m.error === undefined && !m.isLearner && m.lag <= selection.maxLag);
  return Math.min(chosen.revision, ...current.map((m) => m.revision));
}

function notCompared(reason: string): OperatorError {
  return new OperatorError(
    "NoUsableMember",
    `HashKV of all members is required, and could not be compared: ${reason}`,
    {
      hint: "bring the member back, or allow WhenAvailable",
    },
  );
}

async function hashes(
  members: readonly MemberFacts[],
  revision: number,
  { cluster, signal }: CompareOptions,
): Promise<{ all: MemberHash[]; late: Map<MemberFacts, MemberHash> }> {
  const all: MemberHash[] = [];
  const late = new Map<MemberFacts, MemberHash>();
  for (const m of members) {
    const member = m.name || m.endpoint;
    try {
      const { hash, compactRevision } = await cluster.hashKV(m.endpoint, revision, {
        signal,
        timeoutMs: hashTimeout(m.dbSize),
      });
      all.push({ member, hash, compactRevision });
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = asOperatorError(error);
      const unavailable = { member, unavailable: message };
      all.push(unavailable);
      if (code === "Timeout") late.set(m, unavailable);
    }
  }
  return { all, late };
}
