import { OperatorError, asOperatorError } from "../core/errors.ts";
import { judgeAfterLastByte, judgeBeforeFirstByte } from "../core/etcd/last-status.ts";
import type { ChosenMember, MemberFacts, MemberSelection } from "../core/etcd/member-choice.ts";
import type { SaveStep } from "./progress.ts";
import type { SnapshotCluster, SnapshotSource } from "./source.ts";

export interface ConfirmOptions {
  cluster: Pick<SnapshotCluster, "status" | "confirmQuorum" | "snapshot">;
  selection: MemberSelection;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
}

interface Chosen {
  clusterId: string;
  choice: ChosenMember;
}

/**
 * Asks the chosen member again, right before the first byte. Resolves to the choice with the facts of now. Throws
 * Unreachable when another member answers, and NoUsableMember when the member may no longer serve the snapshot; another
 * attempt chooses again. A quorum is confirmed by a linearizable read, so a snapshot with quorum holds every write that
 * was acknowledged before that read. With allowWithoutQuorum a failed read is recorded and fails nothing.
 */
export async function confirmMember(
  { clusterId, members, choice }: Chosen & { members: readonly MemberFacts[] },
  options: ConfirmOptions,
): Promise<ChosenMember> {
  const { cluster, selection, signal } = options;
  const { endpoint, name } = choice.chosen;
  let status = await cluster.status(endpoint, signal);
  let unconfirmed: OperatorError | undefined;
  if (status.leader !== "0") {
    unconfirmed = await readThrough(
      [endpoint, ...leaderEndpoint(members, status.leader, selection)],
      options,
    );
    status = await cluster.status(endpoint, signal);
  }
  const hasQuorum = status.leader !== "0" && unconfirmed === undefined;
  const judged = judgeBeforeFirstByte({ choice, clusterId, selection }, status, hasQuorum);
  switch (judged.verdict) {
    case "usable":
      return judged.choice;
    case "moved":
      throw new OperatorError("Unreachable", judged.reason);
    case "refused": {
      const why = unconfirmed === undefined ? "" : ` (${unconfirmed.summary})`;
      throw new OperatorError(
        "NoUsableMember",
        `${name || endpoint} was chosen and may not serve the snapshot any more: ${judged.reason}${why}`,
        {
          hint: "wait for the next attempt; if the cluster is lost for good, allow a snapshot without quorum (--allow-without-quorum, spec.etcd.memberSelection.allowWithoutQuorum)",
          ...(unconfirmed === undefined ? {} : { cause: unconfirmed }),
        },
      );
    }
    default:
      return judged satisfies never;
  }
}

/**
 * A member that is selected by name may lag, and then answers the read too late. The leader that it names proves the
 * quorum as well; only that the member has applied everything is then not proved, and the manifest records its lag.
 */
function leaderEndpoint(
  members: readonly MemberFacts[],
  leader: string,
  { name }: MemberSelection,
): string[] {
  if (name === undefined) return [];
  return members.flatMap((m) => (m.id === leader && m.error === undefined ? [m.endpoint] : []));
}

/**
 * Undefined when one of the endpoints has answered a linearizable read, else the failure of the first. Throws a refused
 * login, which says nothing about the quorum.
 */
async function readThrough(
  endpoints: readonly string[],
  { cluster, signal }: ConfirmOptions,
): Promise<OperatorError | undefined> {
  let failure: OperatorError | undefined;
  for (const endpoint of new Set(endpoints)) {
    try {
      await cluster.confirmQuorum(endpoint, signal);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const thrown = asOperatorError(error);
      if (thrown.code === "Unauthorized") throw thrown;
      failure ??= thrown;
    }
  }
  return failure;
}

/**
 * Opens the stream. After its last byte the member is asked once more, and the turn is released: reading back from the
 * store does not need the member.
 */
export async function openSource(
  chosen: Chosen & { release: () => void },
  options: ConfirmOptions,
): Promise<SnapshotSource & AsyncDisposable> {
  const stream = await options.cluster.snapshot(chosen.choice.chosen, options.signal);
  return {
    totalBytes: stream.totalBytes,
    chunks: thenAskedAgain(stream.chunks, chosen, options),
    [Symbol.asyncDispose]: () => stream[Symbol.asyncDispose](),
  };
}

async function* thenAskedAgain(
  chunks: AsyncIterable<Uint8Array>,
  chosen: Chosen & { release: () => void },
  options: ConfirmOptions,
): AsyncGenerator<Uint8Array> {
  yield* chunks;
  await askAfterLastByte(chosen, options);
  chosen.release();
}

/** Throws NoUsableMember when etcd has raised the CORRUPT alarm for the member. A lost leader is only reported. */
async function askAfterLastByte(
  { clusterId, choice }: Chosen,
  { cluster, selection, signal, onStep }: ConfirmOptions,
): Promise<void> {
  const { endpoint, name } = choice.chosen;
  const member = name || endpoint;
  const unconfirmed = (reason: string) => {
    if (!choice.withoutQuorum) onStep?.({ step: "QuorumNotConfirmed", member, reason });
  };
  const status = await cluster.status(endpoint, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    return asOperatorError(error);
  });
  if (status instanceof OperatorError) return unconfirmed(status.summary);
  const judged = judgeAfterLastByte({ choice, clusterId, selection }, status);
  if (judged.verdict === "unconfirmed") unconfirmed(judged.reason);
  if (judged.verdict === "corrupt")
    throw new OperatorError(
      "NoUsableMember",
      `${member} served the snapshot, and by its end ${judged.reason}`,
    );
}
