import type { RestoreDecision } from "../../core/restore/decide.ts";
import type { ObservedRestore } from "../../core/restore/observed.ts";
import {
  clusterRunning,
  membersRestored,
  membersSeen,
  restoreChanged,
  restoreFailed,
  restoreInitialized,
  restoreRetrying,
  restoredBefore,
  verified,
  verifying,
  workBegun,
} from "../../core/restore/status.ts";
import { freshToken } from "../../restore/tool-arguments.ts";
import type { Result } from "../reconciler.ts";
import { type RestoreContext, writeRestoreStatus } from "./context.ts";
import { createCluster, createMembers } from "./create.ts";
import { recordEnd } from "./record-end.ts";
import { succeed } from "./succeed.ts";

type Act<Kind extends RestoreDecision["do"]> = RestoreDecision & { do: Kind };

const progressEveryMs = 2_000;

/** Carries out one decision. */
export async function actOnRestore(
  context: RestoreContext,
  observed: ObservedRestore,
  decision: RestoreDecision,
): Promise<Result> {
  const { restore, admission, runs, key, now } = context;
  if (decision.do === "wait" && decision.forSlot === true)
    admission.waitInLine(key, { place: observed.place });
  else if (decision.do !== "verify" && decision.do !== "prove") admission.leaveLine(key);
  switch (decision.do) {
    case "nothing":
      await runs.forget(key);
      return undefined;
    case "initialize":
      await writeRestoreStatus(context, restoreInitialized(restore, now()));
      return { againAfterMs: 0 };
    case "cancel":
      await runs.cancel(key, "spec.timeoutSeconds has passed, or the EtcdRestore is being deleted");
      return { againAfterMs: 0 };
    case "verify":
    case "prove":
      return begin(context, observed, decision.do);
    case "reportProgress":
      return reportProgress(context, decision);
    case "recordVerified":
      return recordVerified(context, decision);
    case "recordRestoredBefore":
      return recordRestoredBefore(context, decision);
    case "restoreMembers":
      return createMembers(context, observed.members, decision);
    case "recordRestored":
      await writeRestoreStatus(context, membersRestored(restore, observed.members, now()));
      context.events.normal("MembersRestored", "every volume holds the data");
      return { againAfterMs: 0 };
    case "createCluster":
      return createCluster(context);
    case "recordRunning":
      await writeRestoreStatus(context, clusterRunning(restore, now()));
      context.events.normal("ClusterStarted", "every member is ready");
      return { againAfterMs: 0 };
    case "succeed":
      return succeed(context, decision.verification);
    case "recordEnd":
      return recordEnd(context);
    case "recordEndLater":
      return { againAfterMs: decision.ms };
    case "wait":
      return wait(context, observed, decision);
    case "retry":
      return retry(context, observed, decision);
    case "fail":
      return fail(context, decision);
    default:
      return decision satisfies never;
  }
}

/** Writes the step to status before it begins. */
async function begin(
  context: RestoreContext,
  { work }: ObservedRestore,
  step: "verify" | "prove",
): Promise<Result> {
  const { restore, runs, key, now } = context;
  const { uid } = restore.metadata;
  // The run of the earlier step is still known when the answer to the write of its end was lost.
  if (work.state === "succeeded") await runs.forget(key);
  const attempt = (restore.status.attempts ?? 0) + 1;
  if (!runs.reserve(key, { uid, attempt })) return { againAfterMs: progressEveryMs };
  try {
    await writeRestoreStatus(context, workBegun(restore, step, now()));
  } catch (error) {
    await runs.cancel(key, "the start of the step could not be written to status");
    throw error;
  }
  await runs.start(key, { step, restore });
  return { againAfterMs: progressEveryMs };
}

async function reportProgress(
  context: RestoreContext,
  { report: { read } }: Act<"reportProgress">,
): Promise<Result> {
  const { restore, now } = context;
  if (read !== undefined) await writeRestoreStatus(context, verifying(restore, read, now()));
  return { againAfterMs: progressEveryMs };
}

async function recordVerified(context: RestoreContext, { source }: Act<"recordVerified">): Promise<Result> {
  const { restore, runs, key, now, events } = context;
  await writeRestoreStatus(context, verified(restore, { source, token: freshToken(now()) }, now()));
  events.normal(
    "BackupVerified",
    `every digest of backup ${source.name} agreed: ${source.size}, revision ${source.revision}`,
  );
  await runs.forget(key);
  return { againAfterMs: 0 };
}

async function recordRestoredBefore(
  context: RestoreContext,
  { completedAt }: Act<"recordRestoredBefore">,
): Promise<Result> {
  const { restore, runs, key, now, events } = context;
  await writeRestoreStatus(context, restoredBefore(restore, completedAt, now()));
  events.normal(
    "RestoredBefore",
    `the store records that this restore ended at ${completedAt}; the operator does not run it again`,
  );
  await runs.forget(key);
  return undefined;
}

async function wait(
  context: RestoreContext,
  { members }: ObservedRestore,
  { reason, message, ms }: Act<"wait">,
): Promise<Result> {
  const { restore, now } = context;
  const status =
    members.length > 0
      ? membersSeen(restore, members, { reason, message }, now())
      : restoreChanged(restore, { outcome: "InProgress", reason, message }, now());
  await writeRestoreStatus(context, status);
  return { againAfterMs: ms };
}

async function retry(
  context: RestoreContext,
  { members }: ObservedRestore,
  decision: Act<"retry">,
): Promise<Result> {
  const { restore, runs, key, now, events } = context;
  await runs.forget(key);
  const current =
    members.length === 0 ? restore : { ...restore, status: membersSeen(restore, members, decision, now()) };
  await writeRestoreStatus(context, restoreRetrying(current, decision, now()));
  events.warning(decision.reason, decision.message);
  return { againAfterMs: Math.max(0, decision.at.getTime() - now().getTime()) };
}

async function fail(context: RestoreContext, { reason, message }: Act<"fail">): Promise<Result> {
  const { restore, runs, key, now, events, log } = context;
  await writeRestoreStatus(context, restoreFailed(restore, { reason, message }, now()));
  events.warning(reason, message);
  log.warn({ restore: key, reason, message }, "restore failed");
  await runs.forget(key);
  return undefined;
}
