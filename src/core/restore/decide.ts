import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { withHint } from "../backup/decide.ts";
import { conditionStatus } from "../conditions.ts";
import { type OperatorError } from "../errors.ts";

/** What is there of one member, as the API server shows it. */
export interface ObservedMember {
  index: number;
  volume: "missing" | "ours" | "foreign";
  job: ObservedJob;
}

export type ObservedJob =
  | { state: "none" }
  /** Somebody else's Job of the name. */
  | { state: "foreign"; name: string }
  /** `waitsFor`: why its Pod does not run, where that is known. */
  | { state: "running"; attempt: number; waitsFor?: string }
  | { state: "succeeded"; attempt: number }
  /** `permanent`: its container said that trying again cannot help. */
  | { state: "failed"; attempt: number; lastWords: string; permanent: boolean };

/** The in-process work for one EtcdRestore: reading the whole backup, or proving the new cluster. */
export type ObservedWork =
  | { state: "none" }
  | { state: "running" }
  | { state: "succeeded" }
  | { state: "failed"; error: OperatorError };

export interface ObservedRestore {
  restore: EtcdRestore;
  work: ObservedWork;
  /** Once the backup is verified. */
  members: ObservedMember[];
  /** The StatefulSet, Services and PodDisruptionBudget, once the volumes hold the data. */
  cluster: { exists: "none" | "ours" | "foreign"; what?: string; readyMembers: number; waitsFor?: string };
}

/** What to do next with one EtcdRestore. Replaying it on what can be observed survives a crash at any line. */
export type RestoreDecision =
  | { do: "nothing" }
  | { do: "initialise" }
  | { do: "cancel" }
  | { do: "verify" }
  | { do: "watch" }
  | { do: "recordVerified" }
  | { do: "restoreMembers"; volumes: number[]; jobs: { index: number; attempt: number }[] }
  | { do: "recordRestored" }
  | { do: "createCluster" }
  | { do: "recordRunning" }
  | { do: "prove" }
  | { do: "succeed" }
  | { do: "wait"; ms: number; reason: RestoreReason; message: string }
  | { do: "retry"; at: Date; reason: RestoreReason; message: string }
  | { do: "fail"; reason: RestoreReason; message: string };

const firstDelayMs = 5_000;
const longestDelayMs = 2 * 60_000;
const lookAgainMs = 2_000;

export function decideRestore(observed: ObservedRestore, now: Date): RestoreDecision {
  const { restore, work } = observed;
  const { metadata, status } = restore;
  // There is no finalizer: volumes stay, Jobs go with their owner.
  if (metadata.deletionTimestamp !== undefined)
    return work.state === "none" ? { do: "nothing" } : { do: "cancel" };
  if (conditionStatus(status.conditions, "Finished") === "True") return { do: "nothing" };
  if (conditionStatus(status.conditions, "Succeeded") === undefined) return { do: "initialise" };
  const late = lateness(restore, now);
  if (late !== undefined) return work.state === "running" ? { do: "cancel" } : late;
  const next = status.nextAttemptTime === undefined ? 0 : Date.parse(status.nextAttemptTime) - now.getTime();
  if (next > 0 && work.state === "none") {
    const { reason, message } = lastSaid(status);
    return { do: "wait", ms: next, reason, message };
  }
  if (status.verifiedTime === undefined) return decideWork(observed, "verify", "recordVerified", now);
  if (status.restoredTime === undefined) return decideMembers(observed, now);
  if (status.runningTime === undefined) return decideCluster(observed);
  return decideWork(observed, "prove", "succeed", now);
}

function decideWork(
  { restore, work }: ObservedRestore,
  begin: "verify" | "prove",
  end: "recordVerified" | "succeed",
  now: Date,
): RestoreDecision {
  switch (work.state) {
    case "none":
      return { do: begin };
    case "running":
      return { do: "watch" };
    case "succeeded":
      return { do: end };
    case "failed":
      return afterRestoreFailure(restore, work.error, now);
    default:
      return work satisfies never;
  }
}

function decideMembers({ restore, members }: ObservedRestore, now: Date): RestoreDecision {
  const foreign = members.find(({ volume }) => volume === "foreign");
  if (foreign !== undefined) {
    const name = restore.status.members?.[foreign.index]?.volume ?? "";
    return exists(`PersistentVolumeClaim ${name}`);
  }
  for (const { job } of members) if (job.state === "foreign") return exists(`Job ${job.name}`);
  const broken = members.flatMap(({ index, job }) => (job.state === "failed" ? [{ index, job }] : []));
  for (const { index, job } of broken) {
    const name = restore.status.members?.[index]?.name ?? "";
    const message = `member ${name}: ${job.lastWords}`;
    if (job.permanent) return { do: "fail", reason: "MemberFailed", message };
    if (job.attempt > restore.spec.backoffLimit) {
      const attempts = `${job.attempt} ${job.attempt === 1 ? "attempt" : "attempts"} failed; the last: `;
      return { do: "fail", reason: "MemberFailed", message: `member ${name}: ${attempts}${job.lastWords}` };
    }
  }
  if (members.every(({ job }) => job.state === "succeeded")) return { do: "recordRestored" };
  const volumes = members.flatMap(({ index, volume }) => (volume === "missing" ? [index] : []));
  const jobs = members.flatMap(({ index, job }) => {
    if (job.state === "none") return [{ index, attempt: 1 }];
    return job.state === "failed" ? [{ index, attempt: job.attempt + 1 }] : [];
  });
  // A Job that failed gets another one after a pause, the members that are well do not wait for it.
  const due = restore.status.nextAttemptTime !== undefined;
  const [first] = broken;
  if (first !== undefined && !due) {
    const name = restore.status.members?.[first.index]?.name ?? "";
    const at = new Date(now.getTime() + delayMs(first.job.attempt));
    const message = `member ${name}: ${first.job.lastWords}`;
    return { do: "retry", at, reason: "Retrying", message };
  }
  if (volumes.length > 0 || jobs.length > 0) return { do: "restoreMembers", volumes, jobs };
  const done = members.filter(({ job }) => job.state === "succeeded").length;
  const waits = members.flatMap(({ job }) => (job.state === "running" ? (job.waitsFor ?? []) : []));
  const detail = waits.length === 0 ? "" : `; ${waits.join("; ")}`;
  const message = `${done} of ${members.length} volumes hold the data${detail}`;
  return { do: "wait", ms: lookAgainMs, reason: "RestoringMembers", message };
}

function decideCluster({ restore, cluster }: ObservedRestore): RestoreDecision {
  const { exists: there, what, readyMembers, waitsFor } = cluster;
  if (there === "foreign") return exists(what ?? "");
  if (there === "none") return { do: "createCluster" };
  const { replicas } = restore.spec.target.cluster;
  if (readyMembers >= replicas) return { do: "recordRunning" };
  const detail = waitsFor === undefined ? "" : `; ${waitsFor}`;
  const message = `${readyMembers} of ${replicas} members are ready${detail}`;
  return { do: "wait", ms: lookAgainMs, reason: "StartingCluster", message };
}

/** Somebody else's object of one of the names that are needed. */
export function exists(what: string): RestoreDecision & { do: "fail" } {
  const message = `${what} exists and is not of this restore; it was not touched. Give the new cluster another name, or remove it first`;
  return { do: "fail", reason: "TargetExists", message };
}

/** Attempts of one step: each step counts its own. */
export function afterRestoreFailure(
  { spec, status }: EtcdRestore,
  error: OperatorError,
  now: Date,
): RestoreDecision & { do: "retry" | "fail" } {
  const reason = restoreReasonOf(error, status.verifiedTime === undefined);
  const message = withHint(error);
  if (error.permanent) return { do: "fail", reason, message };
  const attempts = status.attempts ?? 1;
  // The proof waits for members that may take their time; the deadline ends it.
  if (status.verifiedTime === undefined && attempts > spec.backoffLimit)
    return { do: "fail", reason, message: `${attempts} attempts failed; the last: ${message}` };
  return { do: "retry", at: new Date(now.getTime() + delayMs(attempts)), reason, message };
}

function delayMs(attempt: number): number {
  return Math.min(firstDelayMs * 2 ** (attempt - 1), longestDelayMs);
}

function lateness({ spec, status }: EtcdRestore, now: Date): (RestoreDecision & { do: "fail" }) | undefined {
  const start = Date.parse(status.startTime ?? "");
  if (Number.isNaN(start) || now.getTime() < start + spec.timeoutSeconds * 1000) return undefined;
  const message = `not finished within ${spec.timeoutSeconds} s; the last: ${lastSaid(status).message}`;
  return { do: "fail", reason: "TimedOut", message };
}

function lastSaid(status: EtcdRestoreStatus): { reason: RestoreReason; message: string } {
  const last = status.conditions?.find(({ type }) => type === "Succeeded");
  return { reason: (last?.reason as RestoreReason | undefined) ?? "Pending", message: last?.message ?? "" };
}

/** The error's code as a documented reason. */
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
