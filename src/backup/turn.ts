import {
  type ChosenMember,
  type MemberFacts,
  type MemberSelection,
  type NoMember,
  chooseMember,
} from "../core/etcd/member-choice.ts";
import { OperatorError } from "../core/errors.ts";
import type { SnapshotCluster } from "./source.ts";

/** Lets one holder a key at a time, so that one backup at a time reads a member. */
export interface Turns {
  /** Resolves to the function that gives the key back. Rejects with the signal's reason when it fires before. */
  acquire(key: string, signal: AbortSignal): Promise<() => void>;
  isHeld(key: string): boolean;
}

export interface TurnOptions {
  cluster: Pick<SnapshotCluster, "endpoints" | "observe">;
  selection: MemberSelection;
  /** Absent: this process makes no other backup. */
  turns?: Turns;
  signal: AbortSignal;
}

/** A chosen member, and the sole right to it in this process until `release` or disposal. */
export interface Turn extends Disposable {
  clusterId: string;
  members: MemberFacts[];
  choice: ChosenMember;
  release(): void;
}

/**
 * Waits for the turn of the given endpoints, then observes and chooses, then waits for the turn of the chosen member:
 * another backup may read the same member through other endpoints. After that wait the facts are old, so it observes
 * and chooses again. The keys are URLs and the cluster ID, not member IDs: clusters made from one template have equal
 * IDs, and never the same endpoint. One member under two URLs counts as two. Throws NoUsableMember.
 */
export async function takeTurn({ cluster, selection, turns, signal }: TurnOptions): Promise<Turn> {
  using held = new DisposableStack();
  if (turns !== undefined) held.defer(await turns.acquire(cluster.endpoints.toSorted().join(","), signal));
  let member: { key: string; release: () => void } | undefined;
  held.defer(() => member?.release());
  for (;;) {
    const { clusterId, members } = await cluster.observe(signal);
    const choice = chooseMember(members, selection);
    if (choice.chosen === undefined) throw noMember(choice);
    const key = `${clusterId} ${choice.chosen.endpoint}`;
    if (turns !== undefined && member?.key !== key) {
      // Never two members at a time: two backups could wait for each other's.
      member?.release();
      const waits = turns.isHeld(key);
      member = { key, release: await turns.acquire(key, signal) };
      if (waits) continue;
    }
    const kept = held.move();
    const release = () => kept.dispose();
    return { clusterId, members, choice, release, [Symbol.dispose]: release };
  }
}

const noMemberHints: Readonly<Record<NoMember["problem"], string>> = {
  NoEndpoint: "run `etcd-backup members` with the same endpoints to see each member",
  NoAnswer: "run `etcd-backup members` with the same endpoints to see each member",
  UnknownName: "use one of these names, or select no member by name",
  NoLeader:
    "if the cluster is lost for good, allow a snapshot without quorum (--allow-without-quorum, spec.etcd.memberSelection.allowWithoutQuorum)",
  NoneUsable: "run `etcd-backup members` with the same endpoints to see each member",
};

function noMember({ problem, reason, refusals }: NoMember): OperatorError {
  // Another attempt cannot succeed with a wrong name.
  const permanent = problem === "UnknownName";
  const rows = refusals.map(({ member, reason: why }) => `${member.name || member.endpoint}: ${why}`);
  const details = rows.length > 0 && !permanent ? ` (${rows.join("; ")})` : "";
  return new OperatorError("NoUsableMember", `${reason}${details}`, {
    hint: noMemberHints[problem],
    permanent,
  });
}
