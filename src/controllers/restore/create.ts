import type { RestoreDecision } from "../../core/restore/decide.ts";
import type { RestoredMember } from "../../core/restore/observed.ts";
import { membersSeen, restoreChanged } from "../../core/restore/status.ts";
import { OperatorError } from "../../core/errors.ts";
import type { RestoreBlueprint } from "../../restore/kubernetes/blueprint.ts";
import {
  clientService,
  disruptionBudget,
  peerService,
  statefulSet,
  volumeClaim,
} from "../../restore/kubernetes/cluster.ts";
import { memberJob } from "../../restore/kubernetes/job.ts";
import type { Result } from "../reconciler.ts";
import { type RestoreContext, writeRestoreStatus } from "./context.ts";
import { sourceOf } from "./source.ts";

const lookAgainMs = 2_000;

/** Creates the volumes that are missing, and the Jobs that are due. */
export async function restoreMembers(
  context: RestoreContext,
  members: readonly RestoredMember[],
  { volumes, jobs }: RestoreDecision & { do: "restoreMembers" },
): Promise<Result> {
  const { restore, resources, signal, now, events } = context;
  const blueprint = await blueprintOf(context);
  // A name that is taken shows in the next pass: the object is ours after a lost answer, else it is foreign.
  for (const index of volumes)
    await resources.create("PersistentVolumeClaim", volumeClaim(blueprint, index), signal);
  for (const { index, attempt } of jobs)
    await resources.create("Job", memberJob(blueprint, index, attempt), signal);
  const begun = members.map((member) => {
    const job = jobs.find(({ index }) => index === member.index);
    return job === undefined
      ? member
      : { ...member, job: { state: "running" as const, attempt: job.attempt } };
  });
  const names = jobs.map(({ index }) => restore.status.members?.[index]?.name);
  const message = `restoring ${names.join(", ")}`;
  const reason = "RestoringMembers";
  const { nextAttemptTime: _, ...status } = membersSeen(restore, begun, { reason, message }, now());
  await writeRestoreStatus(context, status);
  events.normal(reason, message);
  return { againAfterMs: lookAgainMs };
}

/** Creates the Services, the PodDisruptionBudget and the StatefulSet. */
export async function createCluster(context: RestoreContext): Promise<Result> {
  const { restore, resources, signal, now, events } = context;
  const blueprint = await blueprintOf(context);
  await resources.create("Service", peerService(blueprint), signal);
  await resources.create("Service", clientService(blueprint), signal);
  await resources.create("PodDisruptionBudget", disruptionBudget(blueprint), signal);
  await resources.create("StatefulSet", statefulSet(blueprint), signal);
  const reason = "StartingCluster";
  const message = "the members are starting";
  await writeRestoreStatus(
    context,
    restoreChanged(restore, { outcome: "InProgress", reason, message }, now()),
  );
  events.normal(reason, message);
  return { againAfterMs: lookAgainMs };
}

async function blueprintOf({
  restore,
  resources,
  signal,
  operatorImage = "",
}: RestoreContext): Promise<RestoreBlueprint> {
  const { source, token } = restore.status;
  const { store } = await sourceOf(restore, resources, signal);
  if (source === undefined || token === undefined)
    throw new OperatorError("Internal", "the restore has no source in its status");
  return { restore, store, source, token, operatorImage };
}
