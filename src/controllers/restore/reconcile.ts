import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import type { RestoreBlueprint } from "../../restore/kubernetes/blueprint.ts";
import { memberJob } from "../../restore/kubernetes/job.ts";
import {
  clientService,
  disruptionBudget,
  peerService,
  statefulSet,
  volumeClaim,
} from "../../restore/kubernetes/cluster.ts";
import { type RestoreDecision, decideRestore } from "../../core/restore/decide.ts";
import {
  clusterRunning,
  membersRestored,
  membersSeen,
  restoreChanged,
  restoreFailed,
  restoreInitialised,
  restoreRetrying,
  restoreSucceeded,
  restoredBefore,
  verified,
  verifying,
  workBegun,
} from "../../core/restore/status.ts";
import { asOperatorError } from "../../core/errors.ts";
import { writeRestoreRecord } from "../../backup/catalog/restore-record.ts";
import type { Again } from "../backup/context.ts";
import { type Reconcile, keyOf } from "../reconciler.ts";
import { observe } from "./observe.ts";
import { type RestoreControllerDeps, type RestorePass, type TargetKind, writeRestore } from "./context.ts";
import { proveWork } from "./verify-cluster.ts";
import { verifyWork } from "./verify-backup.ts";
import { sourceOf } from "./source.ts";

const lookAgainMs = 2_000;

/** observe → decide → act for EtcdRestore. */
export function restoreReconciler(deps: RestoreControllerDeps): Reconcile {
  return async (request, signal) => {
    const key = keyOf(request);
    const restore = await deps.resources.restore(request, signal);
    if (restore === undefined) {
      await deps.runs.cancel(key, "the EtcdRestore was deleted");
      return undefined;
    }
    await deps.runs.cancelOthers(key, restore.metadata.uid);
    const pass = { ...deps, restore, key, signal };
    const observed = await observe(pass);
    const decision = decideRestore(observed, deps.now());
    deps.log.debug({ restore: key, decision: decision.do }, "decided");
    return act(pass, decision, observed);
  };
}

async function act(
  pass: RestorePass,
  decision: RestoreDecision,
  { members }: Awaited<ReturnType<typeof observe>>,
): Promise<Again> {
  const { restore, runs, key, now } = pass;
  switch (decision.do) {
    case "nothing":
      runs.forget(key);
      return undefined;
    case "initialise":
      await writeRestore(pass, restoreInitialised(restore, now()));
      return { againAfterMs: 0 };
    case "cancel":
      await runs.cancel(key, "the time is up, or the EtcdRestore is being deleted");
      return { againAfterMs: 0 };
    case "verify":
    case "prove":
      return begin(pass, decision.do);
    case "watch":
      return watch(pass);
    case "recordVerified":
      return recordVerified(pass);
    case "restoreMembers":
      return restoreMembers(pass, decision, members);
    case "recordRestored":
      await writeRestore(pass, membersRestored(restore, members, now()));
      say(pass, "Normal", "MembersRestored", "every volume holds the data");
      return { againAfterMs: 0 };
    case "createCluster":
      return createCluster(pass);
    case "recordRunning":
      await writeRestore(pass, clusterRunning(restore, now()));
      say(pass, "Normal", "ClusterStarted", "every member is ready");
      return { againAfterMs: 0 };
    case "succeed":
      return succeed(pass);
    case "wait": {
      const { reason, message, ms } = decision;
      const said = { reason, message };
      const status =
        members.length > 0
          ? membersSeen(restore, members, said, now())
          : restoreChanged(restore, { outcome: "InProgress", ...said }, now());
      await writeRestore(pass, status);
      return { againAfterMs: ms };
    }
    case "retry": {
      runs.forget(key);
      const seen =
        members.length === 0
          ? restore
          : { ...restore, status: membersSeen(restore, members, decision, now()) };
      await writeRestore(pass, restoreRetrying(seen, decision, now()));
      say(pass, "Warning", decision.reason, decision.message);
      return { againAfterMs: Math.max(0, decision.at.getTime() - now().getTime()) };
    }
    case "fail":
      return fail(pass, decision);
    default:
      return decision satisfies never;
  }
}

/** The step is in status before it begins. */
async function begin(pass: RestorePass, step: "verify" | "prove"): Promise<Again> {
  const { restore, runs, key, now } = pass;
  const { uid } = restore.metadata;
  const attempt = (restore.status.attempts ?? 0) + 1;
  if (!runs.reserve(key, { uid, attempt })) return { againAfterMs: lookAgainMs };
  try {
    await writeRestore(pass, workBegun(restore, step, now()));
  } catch (error) {
    await runs.cancel(key, "its beginning could not be recorded");
    throw error;
  }
  const work = step === "verify" ? verifyWork(restore, pass) : proveWork(restore, pass);
  runs.start(key, { step }, work);
  return { againAfterMs: lookAgainMs };
}

async function watch(pass: RestorePass): Promise<Again> {
  const { restore, runs, key, now } = pass;
  const run = runs.view(key, restore.metadata.uid);
  if (run.state === "running" && run.report.read !== undefined)
    await writeRestore(pass, verifying(restore, run.report.read, now()));
  return { againAfterMs: lookAgainMs };
}

async function recordVerified(pass: RestorePass): Promise<Again> {
  const { restore, runs, key, now } = pass;
  const run = runs.view(key, restore.metadata.uid);
  if (run.state !== "succeeded" || run.result.step !== "verify") return { againAfterMs: 0 };
  const { found } = run.result;
  switch (found.is) {
    case "before":
      await writeRestore(pass, restoredBefore(restore, found.when, now()));
      say(pass, "Normal", "RestoredBefore", `this restore ended at ${found.when} and is not run again`);
      runs.forget(key);
      return undefined;
    case "refused":
      return fail(pass, { do: "fail", ...found });
    case "good": {
      const { source } = found;
      await writeRestore(pass, verified(restore, { source, token: pass.freshToken(now()) }, now()));
      say(
        pass,
        "Normal",
        "BackupVerified",
        `${source.name}: ${source.size}, revision ${source.revision}, every digest agreed`,
      );
      runs.forget(key);
      return { againAfterMs: 0 };
    }
    default:
      return found satisfies never;
  }
}

async function restoreMembers(
  pass: RestorePass,
  { volumes, jobs }: RestoreDecision & { do: "restoreMembers" },
  members: Parameters<typeof membersSeen>[1],
): Promise<Again> {
  const { restore, now } = pass;
  const blueprint = await blueprintOf(pass);
  for (const index of volumes) await make(pass, "PersistentVolumeClaim", volumeClaim(blueprint, index));
  for (const { index, attempt } of jobs) await make(pass, "Job", memberJob(blueprint, index, attempt));
  const begun = members.map((member) => {
    const job = jobs.find(({ index }) => index === member.index);
    return job === undefined
      ? member
      : { ...member, job: { state: "running" as const, attempt: job.attempt } };
  });
  const message = `restoring ${jobs.map(({ index }) => restore.status.members?.[index]?.name).join(", ")}`;
  const { nextAttemptTime: _, ...status } = membersSeen(
    restore,
    begun,
    { reason: "RestoringMembers", message },
    now(),
  );
  await writeRestore(pass, status);
  say(pass, "Normal", "RestoringMembers", message);
  return { againAfterMs: lookAgainMs };
}

async function createCluster(pass: RestorePass): Promise<Again> {
  const blueprint = await blueprintOf(pass);
  await make(pass, "Service", peerService(blueprint));
  await make(pass, "Service", clientService(blueprint));
  await make(pass, "PodDisruptionBudget", disruptionBudget(blueprint));
  await make(pass, "StatefulSet", statefulSet(blueprint));
  const message = "the members are starting";
  await writeRestore(
    pass,
    restoreChanged(pass.restore, { outcome: "InProgress", reason: "StartingCluster", message }, pass.now()),
  );
  say(pass, "Normal", "StartingCluster", message);
  return { againAfterMs: lookAgainMs };
}

/** A name that is taken is looked at in the next pass: it is ours after a lost answer, else somebody else's. */
async function make(
  { resources, signal }: RestorePass,
  kind: TargetKind,
  object: Parameters<typeof resources.create>[1],
): Promise<void> {
  await resources.create(kind, object, signal);
}

async function blueprintOf(pass: RestorePass): Promise<RestoreBlueprint> {
  const { restore, resources, signal, operatorImage = "" } = pass;
  const { source, token } = restore.status;
  const { store } = await sourceOf(restore, resources, signal);
  if (source === undefined || token === undefined)
    throw asOperatorError(new Error("the restore has no source in its status"));
  return { restore, store, source, token, operatorImage, toolArguments: pass.toolArguments(restore, token) };
}

/** Into the store first: an API server that is itself restored later brings the EtcdRestore back as it was before. */
async function succeed(pass: RestorePass): Promise<Again> {
  const { restore, runs, key, now, signal } = pass;
  const run = runs.view(key, restore.metadata.uid);
  const { source, token = "" } = restore.status;
  if (run.state !== "succeeded" || run.result.step !== "prove" || source === undefined)
    return { againAfterMs: 0 };
  const status = restoreSucceeded(restore, run.result.verification, now());
  await record(pass, source, token, status.completionTime ?? now().toISOString());
  await writeRestore(pass, status);
  const { verification } = run.result;
  for (const alarm of verification.alarms ?? [])
    say(
      pass,
      "Warning",
      "AlarmRaised",
      `${alarm} came with the backup and is still raised: look at it before you lower it`,
    );
  say(
    pass,
    "Normal",
    "RestoreSucceeded",
    `${verification.members.join(", ")} hold revision ${source.revision} of ${source.clusterName}, equal by HashKV`,
  );
  signal.throwIfAborted();
  runs.forget(key);
  return undefined;
}

async function record(
  pass: RestorePass,
  source: NonNullable<EtcdRestore["status"]["source"]>,
  token: string,
  completedAt: string,
): Promise<void> {
  const { restore, resources, signal, log, key } = pass;
  const { uid, name, namespace = "default" } = restore.metadata;
  const { store } = await sourceOf(restore, resources, signal);
  if (store.spec.accessMode === "ReadOnly") {
    log.info({ restore: key }, "the store is ReadOnly: the end of the restore is not recorded there");
    return;
  }
  const target = restore.spec.target.cluster.name;
  await using opened = await pass.openStore(store, signal);
  const entry = {
    formatVersion: 1 as const,
    uid,
    namespace,
    name,
    backup: source.name,
    target,
    token,
    completedAt,
  };
  try {
    await writeRestoreRecord(opened, source.clusterName, entry, signal);
  } catch (error) {
    signal.throwIfAborted();
    // The cluster is restored and proved: that a bucket takes no more objects does not undo it.
    log.warn({ restore: key, err: error }, "the end of the restore cannot be recorded in the store");
  }
}

async function fail(pass: RestorePass, decision: RestoreDecision & { do: "fail" }): Promise<Again> {
  const { restore, runs, key, now } = pass;
  await writeRestore(pass, restoreFailed(restore, decision, now()));
  say(pass, "Warning", decision.reason, decision.message);
  pass.log.warn({ restore: key, reason: decision.reason, message: decision.message }, "restore failed");
  runs.forget(key);
  return undefined;
}

function say(
  { events, restore }: RestorePass,
  type: "Normal" | "Warning",
  reason: string,
  note: string,
): void {
  events.record({ regarding: restore, type, reason, action: "Restore", note });
}
