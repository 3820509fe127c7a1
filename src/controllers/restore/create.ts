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

const pollMs = 2_000;

/** Creates the missing volumes and the Jobs that are due. */
export async function createMembers(
  context: RestoreContext,
  members: readonly RestoredMember[],
  { volumes, jobs }: RestoreDecision & { do: "restoreMembers" },
): Promise<Result> {
  const { restore, resources, signal, now, events } = context;
  const blueprint = await blueprintOf(context);
  // The next pass observes a name that exists: the object is this restore's after a lost answer, or another owner's.
  for (const index of volumes)
    await resources.create("PersistentVolumeClaim", volumeClaim(blueprint, index), signal);
  for (const { index, attempt } of jobs)
    await resources.create("Job", memberJob(blueprint, index, attempt), signal);
  const withNewJobs = members.map((member) => {
    const job = jobs.find(({ index }) => index === member.index);
    return job === undefined
      ? member
      : { ...member, job: { state: "running" as const, attempt: job.attempt } };
  });
  const names = jobs.map(({ index }) => restore.status.members?.[index]?.name);
  const message = `Jobs are restoring ${names.join(", ")}`;
  const reason = "RestoringMembers";
  const { nextAttemptTime: _, ...status } = membersSeen(restore, withNewJobs, { reason, message }, now());
  await writeRestoreStatus(context, status);
  events.normal(reason, message);
  return { againAfterMs: pollMs };
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
  return { againAfterMs: pollMs };
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
