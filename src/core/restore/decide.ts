import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { backoffMs } from "../backoff.ts";
import { conditionStatus, isFinished, wholeSeconds } from "../conditions.ts";
import { type OperatorError, withHint } from "../errors.ts";
import { placeForMs } from "../fair-line.ts";
import type { ObservedRestore, RestoreReport, RestoreResult } from "./observed.ts";

/** The next action for one EtcdRestore. After a crash at any line, the next pass decides again on what it observes. */
export type RestoreDecision =
  | { do: "nothing" }
  | { do: "initialize" }
  | { do: "cancel" }
  | { do: "verify" }
  | { do: "reportProgress"; report: RestoreReport }
  | { do: "recordVerified"; source: NonNullable<EtcdRestoreStatus["source"]> }
  /** This EtcdRestore has ended before. A restore of its own API server brought it back as unfinished. */
  | { do: "recordRestoredBefore"; completedAt: string }
  | { do: "restoreMembers"; volumes: number[]; jobs: { index: number; attempt: number }[] }
  | { do: "recordRestored" }
  | { do: "createCluster" }
  | { do: "recordRunning" }
  | { do: "prove" }
  | { do: "succeed"; verification: NonNullable<EtcdRestoreStatus["verification"]> }
  /** The restore has succeeded. Its end has to be recorded in the store. */
  | { do: "recordEnd" }
  | { do: "recordEndLater"; ms: number }
  /** `forSlot`: a place in the line is kept, and its turn wakes the EtcdRestore. */
  | { do: "wait"; ms: number; reason: RestoreReason; message: string; forSlot?: true }
  | { do: "retry"; at: Date; reason: RestoreReason; message: string }
  | { do: "fail"; reason: RestoreReason; message: string };

/** How often the operator tries to record the end of a restore in the store. */
export const recordAttempts = 6;

const delay = { baseMs: 5_000, maxMs: 2 * 60_000 };
const recordDelay = { baseMs: 15_000, maxMs: 4 * 60_000 };
const pollMs = 2_000;

export function decideRestore(observed: ObservedRestore, now: Date): RestoreDecision {
  const { restore, work } = observed;
  const { metadata, status } = restore;
  // A deletion needs no finalizer: the volumes stay, and the garbage collector deletes the Jobs.
  if (metadata.deletionTimestamp !== undefined)
    return work.state === "none" ? { do: "nothing" } : { do: "cancel" };
  if (isFinished(restore)) return decideEndRecord(status, now);
  if (conditionStatus(status.conditions, "Succeeded") === undefined) return { do: "initialize" };
  // What is proved stays proved, however late it is read.
  if (status.runningTime !== undefined && work.state === "succeeded" && work.result.step === "prove")
    return decideResult(work.result);
  const timedOut = timeoutOf(restore, now);
  if (timedOut !== undefined) return work.state === "running" ? { do: "cancel" } : timedOut;
  const waitMs =
    status.nextAttemptTime === undefined ? 0 : Date.parse(status.nextAttemptTime) - now.getTime();
  if (waitMs > 0 && work.state === "none") {
    return { do: "wait", ms: waitMs, ...currentCondition(status) };
  }
  if (status.verifiedTime === undefined) return decideWork(observed, "verify", now);
  if (status.restoredTime === undefined) return decideMembers(observed, now);
  if (status.runningTime === undefined) return decideCluster(observed);
  return decideWork(observed, "prove", now);
}

function decideWork(observed: ObservedRestore, step: RestoreReport["step"], now: Date): RestoreDecision {
  const { restore, work } = observed;
  switch (work.state) {
    case "none":
      return decideBegin(observed, step, now);
    case "reserved":
      return { do: "reportProgress", report: { step } };
    case "running":
      return { do: "reportProgress", report: work.report };
    case "succeeded":
      // The result of the earlier step is recorded, and its run is forgotten when the next step begins.
      return work.result.step === step ? decideResult(work.result) : decideBegin(observed, step, now);
    case "failed":
      return afterRestoreFailure(restore, work.error, now);
    default:
      return work satisfies never;
  }
}

/** The turn wakes the EtcdRestore. It is looked at again only to renew the place, and at its deadline. */
function decideBegin(
  { restore: { spec, status }, freeSlots, place }: ObservedRestore,
  step: RestoreReport["step"],
  now: Date,
): RestoreDecision {
  if (freeSlots > 0) return { do: step };
  const start = Date.parse(status.startTime ?? "");
  const leftMs = Number.isNaN(start) ? placeForMs : start + spec.timeoutSeconds * 1000 - now.getTime();
  const message = `the operator waits for a free slot: place ${place}; it works on a limited number of restores at once`;
  return { do: "wait", ms: Math.min(placeForMs, leftMs), reason: "Pending", message, forSlot: true };
}

function decideResult(result: RestoreResult): RestoreDecision {
  if (result.step === "prove") return { do: "succeed", verification: result.verification };
  const { found } = result;
  switch (found.is) {
    case "good":
      return { do: "recordVerified", source: found.source };
    case "restoredBefore":
      return { do: "recordRestoredBefore", completedAt: found.completedAt };
    case "refused":
      return { do: "fail", reason: found.reason, message: found.message };
    default:
      return found satisfies never;
  }
}

function decideMembers({ restore, members }: ObservedRestore, now: Date): RestoreDecision {
  const foreign = members.find(({ volume }) => volume === "foreign");
  if (foreign !== undefined) {
    const name = restore.status.members?.[foreign.index]?.volume ?? "";
    return targetExists(`PersistentVolumeClaim ${name}`);
  }
  for (const { job } of members) if (job.state === "foreign") return targetExists(`Job ${job.name}`);
  const failed = members.flatMap(({ index, job }) => (job.state === "failed" ? [{ index, job }] : []));
  for (const { index, job } of failed) {
    const name = restore.status.members?.[index]?.name ?? "";
    const message = `member ${name}: ${job.failure}`;
    if (job.permanent) return { do: "fail", reason: "MemberFailed", message };
    if (job.attempt > restore.spec.backoffLimit) {
      const attempts = `${job.attempt} ${job.attempt === 1 ? "attempt" : "attempts"} failed; the last error: `;
      return { do: "fail", reason: "MemberFailed", message: `member ${name}: ${attempts}${job.failure}` };
    }
  }
  if (members.every(({ job }) => job.state === "succeeded")) return { do: "recordRestored" };
  const volumes = members.flatMap(({ index, volume }) => (volume === "missing" ? [index] : []));
  const jobs = members.flatMap(({ index, job }) => {
    if (job.state === "none") return [{ index, attempt: 1 }];
    return job.state === "failed" ? [{ index, attempt: job.attempt + 1 }] : [];
  });
  // A failed Job is followed by another one after a delay. The Jobs of the other members run on meanwhile.
  const isDue = restore.status.nextAttemptTime !== undefined;
  const [first] = failed;
  if (first !== undefined && !isDue) {
    const name = restore.status.members?.[first.index]?.name ?? "";
    const at = new Date(now.getTime() + backoffMs(first.job.attempt, delay));
    const message = `member ${name}: ${first.job.failure}`;
    return { do: "retry", at, reason: "Retrying", message };
  }
  if (volumes.length > 0 || jobs.length > 0) return { do: "restoreMembers", volumes, jobs };
  const restoredCount = members.filter(({ job }) => job.state === "succeeded").length;
  const waitReasons = members.flatMap(({ job }) => (job.state === "running" ? (job.waitsFor ?? []) : []));
  const detail = waitReasons.length === 0 ? "" : `; ${waitReasons.join("; ")}`;
  const message = `${restoredCount} of ${members.length} volumes hold the data${detail}`;
  return { do: "wait", ms: pollMs, reason: "RestoringMembers", message };
}

function decideCluster({ restore, cluster }: ObservedRestore): RestoreDecision {
  const { exists: existing, what, readyMembers, waitsFor } = cluster;
  if (existing === "foreign") return targetExists(what ?? "");
  if (existing === "none") return { do: "createCluster" };
  const { replicas } = restore.spec.target.cluster;
  if (readyMembers >= replicas) return { do: "recordRunning" };
  const detail = waitsFor === undefined ? "" : `; ${waitsFor}`;
  const message = `${readyMembers} of ${replicas} members are ready${detail}`;
  return { do: "wait", ms: pollMs, reason: "StartingCluster", message };
}

/** An object of another owner has a name that the new cluster needs. */
export function targetExists(what: string): RestoreDecision & { do: "fail" } {
  const message = `${what} exists and does not belong to this restore; the operator left it unchanged (give the new cluster another name, or delete the object first)`;
  return { do: "fail", reason: "TargetExists", message };
}

/** Decides what follows a failed verification of the backup or of the cluster. Each step counts its own attempts. */
export function afterRestoreFailure(
  { spec, status }: EtcdRestore,
  error: OperatorError,
  now: Date,
): RestoreDecision & { do: "retry" | "fail" } {
  const reason = restoreReasonOf(error, status.verifiedTime === undefined);
  const message = withHint(error);
  if (error.permanent) return { do: "fail", reason, message };
  const attempts = status.attempts ?? 1;
  // A member may need a long time to become ready, so only the deadline ends the verification of the cluster.
  if (status.verifiedTime === undefined && attempts > spec.backoffLimit)
    return { do: "fail", reason, message: `${attempts} attempts failed; the last error: ${message}` };
  return { do: "retry", at: new Date(now.getTime() + backoffMs(attempts, delay)), reason, message };
}

/** EtcdRestores that ended with an earlier release have no `endRecord`, and were recorded before they ended. */
function decideEndRecord({ endRecord }: EtcdRestoreStatus, now: Date): RestoreDecision {
  if (endRecord?.state !== "Pending") return { do: "nothing" };
  const { nextAttemptTime } = endRecord;
  const ms = nextAttemptTime === undefined ? 0 : Date.parse(nextAttemptTime) - now.getTime();
  return ms > 0 ? { do: "recordEndLater", ms } : { do: "recordEnd" };
}

/** What follows a failed attempt to record the end. Without `at` it was the last one. */
export function afterUnrecordedEnd(
  { status }: EtcdRestore,
  error: OperatorError,
  now: Date,
): { at?: Date; message: string } {
  const attempts = (status.endRecord?.attempts ?? 0) + 1;
  const why = `the restore has succeeded, but its end is not recorded in the store: ${withHint(error)}`;
  // ReadOnly is a decision of a person, and another attempt cannot succeed.
  if (error.code === "Refused" || attempts >= recordAttempts) {
    const message = `${why}; if this API server is restored to a state before this end, delete the EtcdRestore, or it runs again`;
    return { message };
  }
  const at = new Date(now.getTime() + backoffMs(attempts, recordDelay));
  return { at, message: `${why}; the operator tries again at ${wholeSeconds(at)}` };
}

/** The failure once spec.timeoutSeconds have passed since the start. */
function timeoutOf({ spec, status }: EtcdRestore, now: Date): (RestoreDecision & { do: "fail" }) | undefined {
  const start = Date.parse(status.startTime ?? "");
  if (Number.isNaN(start) || now.getTime() < start + spec.timeoutSeconds * 1000) return undefined;
  const message = `the restore did not finish within ${spec.timeoutSeconds} s; the last message: ${currentCondition(status).message}`;
  return { do: "fail", reason: "TimedOut", message };
}

function currentCondition(status: EtcdRestoreStatus): { reason: RestoreReason; message: string } {
  const last = status.conditions?.find(({ type }) => type === "Succeeded");
  return { reason: (last?.reason as RestoreReason | undefined) ?? "Pending", message: last?.message ?? "" };
}

/** Maps the error's code to a documented reason. */
function restoreReasonOf(error: OperatorError, verifying: boolean): RestoreReason {
  switch (error.code) {
    case "NotFound":
      return "BackupNotFound";
    case "VerificationFailed":
      return verifying ? "BackupDamaged" : "NotProved";
    case "AlreadyExists":
      return "TargetExists";
    case "InvalidConfiguration":
    case "CredentialsNotFound":
    case "Unauthorized":
      return error.code;
    case "Usage":
    case "Refused":
    case "FolderClaimed":
      return "InvalidConfiguration";
    case "MembersDisagree":
    case "NoUsableMember":
    case "SnapshotFailed":
      return "NotProved";
    case "StoreFailed":
      return "StoreNotReady";
    case "Unreachable":
    case "Timeout":
    case "Conflict":
    case "Aborted":
      return verifying ? "StoreNotReady" : "NotProved";
    case "Internal":
      return "InternalError";
    default:
      return error.code satisfies never;
  }
}
