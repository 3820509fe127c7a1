import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { RestoreDecision } from "../../core/restore/decide.ts";
import type { RestoredMember } from "../../core/restore/observed.ts";
import { membersSeen, restoreChanged } from "../../core/restore/status.ts";
import { OperatorError, withHint } from "../../core/errors.ts";
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
import { storeOfSource } from "./source.ts";

const pollMs = 2_000;
const waitForStoreMs = 15_000;

/** Creates the missing volumes and the Jobs that are due. */
export async function createMembers(
  context: RestoreContext,
  members: readonly RestoredMember[],
  { volumes, jobs }: RestoreDecision & { do: "restoreMembers" },
): Promise<Result> {
  const { restore, resources, signal, now, events, operatorImage = "" } = context;
  const { source } = restore.status;
  if (source === undefined) throw new OperatorError("Internal", "the restore has no source in its status");
  const store = await storeOrWhy(context);
  if (store instanceof OperatorError) return waitForStore(context, store);
  const blueprint = blueprintOf(context);
  // The next pass observes a name that exists: the object is this restore's after a lost answer, or another owner's.
  for (const index of volumes)
    await resources.create("PersistentVolumeClaim", volumeClaim(blueprint, index), signal);
  if (jobs.length > 0) {
    const ofJobs = { ...blueprint, source, operatorImage, store: await context.jobStore(store, signal) };
    for (const { index, attempt } of jobs)
      await resources.create("Job", memberJob(ofJobs, index, attempt), signal);
  }
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
  const blueprint = blueprintOf(context);
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

function blueprintOf({ restore }: RestoreContext): RestoreBlueprint {
  const { token } = restore.status;
  if (token === undefined) throw new OperatorError("Internal", "the restore has no token in its status");
  return { restore, token };
}

/** The store of the source, or why it cannot be read now. */
async function storeOrWhy({
  restore,
  resources,
  signal,
}: RestoreContext): Promise<EtcdBackupStore | OperatorError> {
  try {
    return await storeOfSource(restore, resources, signal);
  } catch (error) {
    if (error instanceof OperatorError && error.code === "NotFound") return error;
    throw error;
  }
}

/** Only spec.timeoutSeconds ends this wait: the volumes that hold the data already stay as they are. */
async function waitForStore(context: RestoreContext, error: OperatorError): Promise<Result> {
  const { restore, now } = context;
  const change = { outcome: "InProgress", reason: "StoreNotReady", message: withHint(error) } as const;
  await writeRestoreStatus(context, restoreChanged(restore, change, now()));
  return { againAfterMs: waitForStoreMs };
}
