import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { BackupReason } from "../../api/v1alpha1/conditions.ts";
import type { Fail, Retry, Wait } from "./failure.ts";
import type { LookAgain } from "./import.ts";
import { withHint } from "../errors.ts";
import { type Outcome, runConditions, setCondition, wholeSeconds } from "../conditions.ts";
import { bytes, duration } from "../human.ts";
import type { ChosenMember } from "../etcd/member-choice.ts";

/** A change of the conditions that describe the run. */
interface StatusChange {
  outcome: Outcome;
  reason: BackupReason;
  message: string;
}

/** The whole next status, since the status is applied whole. */
export function changed(
  backup: EtcdBackup,
  { outcome, reason, message }: StatusChange,
  now: Date,
): EtcdBackupStatus {
  const { generation } = backup.metadata;
  const { waitingSince: _, ...status } = backup.status;
  return {
    ...status,
    observedGeneration: generation,
    conditions: runConditions(
      backup.status.conditions ?? [],
      outcome,
      { reason, message },
      { generation, now },
    ),
  };
}

/** The status while the operator waits; `since` only while it waits for the EtcdBackupStore to exist. */
export function waiting(backup: EtcdBackup, { reason, message, since }: Wait, now: Date): EtcdBackupStatus {
  const status = changed(backup, { outcome: "InProgress", reason, message }, now);
  return since === undefined ? status : { ...status, waitingSince: wholeSeconds(since) };
}

/** The status of an ended backup whose deletionPolicy has changed: only the observed generation moves. */
export function restamped({ status, metadata: { generation } }: EtcdBackup): EtcdBackupStatus {
  const conditions = (status.conditions ?? []).map((condition) => ({
    ...condition,
    observedGeneration: generation,
  }));
  return { ...status, observedGeneration: generation, conditions };
}

/** The status of an ended backup after a verification of what it has stored. The outcome of the backup stays. */
export function verified(
  { status, metadata: { generation } }: EtcdBackup,
  { at, problem }: { at: Date; problem: string | undefined },
  now: Date,
): EtcdBackupStatus {
  const time = wholeSeconds(at);
  const reason: BackupReason = problem === undefined ? "Verified" : "VerificationFailed";
  const message =
    problem === undefined
      ? `the stored backup was verified at ${time}`
      : `the stored backup failed its verification at ${time}: ${problem}`;
  const condition = {
    type: "Verified",
    status: problem === undefined ? "True" : "False",
    reason,
    message,
  } as const;
  return { ...status, conditions: setCondition(status.conditions ?? [], condition, { generation, now }) };
}

/**
 * The status after the operator stopped in the middle of an attempt. The next attempt may start at once. `counts` is
 * false after an orderly stop: that attempt does not count towards backoffLimit.
 */
export function interrupted(
  backup: EtcdBackup,
  { counts, now }: { counts: boolean; now: Date },
): EtcdBackupStatus {
  const change: StatusChange = {
    outcome: "InProgress",
    reason: "OperatorRestarted",
    message: "the operator stopped in the middle of the attempt; the backup starts again at once",
  };
  const { progress: _, ...status } = changed(backup, change, now);
  const attempts = Math.max(0, (status.attempts ?? 1) - (counts ? 0 : 1));
  return { ...status, attempts, nextAttemptTime: wholeSeconds(now) };
}

export function deleting(backup: EtcdBackup, now: Date): EtcdBackupStatus {
  const stamp = { generation: backup.metadata.generation, now };
  const reason: BackupReason = "Deleting";
  const message = "the operator is deleting the stored backup";
  const conditions = setCondition(
    backup.status.conditions ?? [],
    { type: "Reconciling", status: "True", reason, message },
    stamp,
  );
  return { ...backup.status, conditions };
}

export function initialized(backup: EtcdBackup, now: Date): EtcdBackupStatus {
  const message =
    backup.spec.imported === undefined
      ? "the operator starts the backup when a slot is free"
      : "the operator reads the manifest of the imported backup";
  return changed(backup, { outcome: "InProgress", reason: "Pending", message }, now);
}

export function started(
  backup: EtcdBackup,
  { attempt, runId, storeURL }: { attempt: number; runId: string; storeURL?: string | undefined },
  now: Date,
): EtcdBackupStatus {
  const connecting = "the operator is asking the members for their status";
  const message = attempt === 1 ? connecting : `attempt ${attempt}: ${connecting}`;
  const {
    nextAttemptTime: _,
    progress: __,
    member: ___,
    ...status
  } = changed(backup, { outcome: "InProgress", reason: "Connecting", message }, now);
  return {
    ...status,
    runID: runId,
    ...(storeURL === undefined ? {} : { storeURL }),
    attempts: attempt,
    startTime: status.startTime ?? wholeSeconds(now),
  };
}

export function memberSelected(
  backup: EtcdBackup,
  { chosen, reason }: ChosenMember,
  now: Date,
): EtcdBackupStatus {
  const { id, name, endpoint, version, isLeader, lag } = chosen;
  const message = `the operator takes the snapshot from ${name || id}: ${reason}`;
  return {
    ...changed(backup, { outcome: "InProgress", reason: "MemberSelected", message }, now),
    member: { id, name, endpoint, version, isLeader, lag, reason },
  };
}

export function streaming(
  backup: EtcdBackup,
  progress: { bytes: number; totalBytes: number },
  now: Date,
): EtcdBackupStatus {
  const isRead = progress.bytes >= progress.totalBytes;
  const change: StatusChange = isRead
    ? {
        outcome: "InProgress",
        reason: "Verifying",
        message: "the operator has read the whole snapshot and is verifying what the store holds",
      }
    : {
        outcome: "InProgress",
        reason: "Streaming",
        message: `the operator has read ${bytes(progress.bytes)} of ${bytes(progress.totalBytes)}`,
      };
  return { ...changed(backup, change, now), progress };
}

export function retrying(backup: EtcdBackup, { at, error }: Retry, now: Date): EtcdBackupStatus {
  const attempts = backup.status.attempts ?? 1;
  const message = `attempt ${attempts} failed: ${withHint(error)}; the next attempt starts at ${wholeSeconds(at)}`;
  const { progress: _, ...status } = changed(
    backup,
    { outcome: "InProgress", reason: "Retrying", message },
    now,
  );
  return { ...status, nextAttemptTime: wholeSeconds(at) };
}

/** The status until the next look for an imported backup. Its time counts from startTime, the first look. */
export function lookingAgain(backup: EtcdBackup, { at, message }: LookAgain, now: Date): EtcdBackupStatus {
  const status = changed(backup, { outcome: "InProgress", reason: "Retrying", message }, now);
  return {
    ...status,
    startTime: status.startTime ?? wholeSeconds(now),
    nextAttemptTime: wholeSeconds(at),
  };
}

export function failed(backup: EtcdBackup, { reason, message }: Fail, now: Date): EtcdBackupStatus {
  const {
    progress: _,
    nextAttemptTime: __,
    ...status
  } = changed(backup, { outcome: "Failed", reason, message }, now);
  return ended(status, now);
}

/** The part of a stored backup's manifest that status shows. */
export interface BackupRecord {
  name: string;
  cluster: { id: string };
  run: { id: string; startedAt: string; completedAt: string };
  member: NonNullable<EtcdBackupStatus["member"]>;
  snapshot: {
    revision: number;
    hash: string;
    totalKeys: number;
    pairs: number;
    liveKeys: number;
    totalSizeBytes: number;
    sha256: string;
    withoutQuorum: boolean;
  };
  stored: {
    object: string;
    bytes: number;
    crc32c: string;
    compression: "Zstd" | "None";
    proof: "FullObjectCRC32C" | "PartDigests" | "ReadBack";
  };
  hashKV?: NonNullable<EtcdBackupStatus["hashKV"]>;
}

/**
 * The status of a stored backup. Its times are those of the manifest: an operator may find the backup long after it was
 * made. The manifest's times are by the clock of the operator that made it. They prove no order, so a time that is ahead
 * of this operator's clock is replaced by now.
 */
export function succeeded(
  backup: EtcdBackup,
  record: BackupRecord,
  store: { url: string; location: string },
  now: Date,
): EtcdBackupStatus {
  const message = `the store holds a verified backup of ${contentOf(record)}`;
  return recorded(backup, record, store, { message, now });
}

/** The status of an imported backup: as `succeeded`, with the start of the manifest's run in place of the first look. */
export function imported(
  backup: EtcdBackup,
  record: BackupRecord,
  store: { url: string; location: string },
  now: Date,
): EtcdBackupStatus {
  const message = `imported from the store: a backup of ${contentOf(record)}; its manifest was read, and its data has the size in the manifest`;
  const { startTime: _, ...status } = backup.status;
  return recorded({ ...backup, status }, record, store, { message, now });
}

function contentOf({ snapshot }: BackupRecord): string {
  const quorum = snapshot.withoutQuorum
    ? "; it was taken without quorum, so the last writes may be missing"
    : "";
  return `revision ${snapshot.revision}, ${bytes(snapshot.totalSizeBytes)}${quorum}`;
}

function recorded(
  backup: EtcdBackup,
  record: BackupRecord,
  store: { url: string; location: string },
  { message, now }: { message: string; now: Date },
): EtcdBackupStatus {
  const { snapshot, stored, member } = record;
  const {
    progress: _,
    nextAttemptTime: __,
    storeURL: ___,
    ...status
  } = changed(backup, { outcome: "Succeeded", reason: "Succeeded", message }, now);
  return ended(
    {
      ...withStart(status, record.run),
      runID: record.run.id,
      member,
      snapshot: {
        revision: snapshot.revision,
        hash: Number.parseInt(snapshot.hash, 16).toString(16),
        totalKeys: snapshot.totalKeys,
        pairs: snapshot.pairs,
        liveKeys: snapshot.liveKeys,
        totalSizeBytes: snapshot.totalSizeBytes,
        size: bytes(snapshot.totalSizeBytes),
        sha256: snapshot.sha256,
        etcdVersion: member.version,
        clusterID: record.cluster.id,
        ...(snapshot.withoutQuorum ? { withoutQuorum: true } : {}),
      },
      ...(record.hashKV === undefined ? {} : { hashKV: record.hashKV }),
      artifact: {
        name: record.name,
        storeURL: store.location,
        url: `${store.url}/${stored.object}`,
        manifestURL: `${store.url}/${stored.object.split("/")[0]}/${record.name}.json`,
        storedBytes: stored.bytes,
        compression: stored.compression,
        crc32c: stored.crc32c,
        proof: stored.proof,
      },
    },
    new Date(Math.min(Date.parse(record.run.completedAt), now.getTime())),
  );
}

/** The start of the first attempt; that of the manifest's run where the status has none, or one after the run. */
function withStart(status: EtcdBackupStatus, run: BackupRecord["run"]): EtcdBackupStatus {
  const { startTime } = status;
  const isKnown = startTime !== undefined && Date.parse(startTime) <= Date.parse(run.completedAt);
  return isKnown ? status : { ...status, startTime: wholeSeconds(new Date(run.startedAt)) };
}

function ended(status: EtcdBackupStatus, now: Date): EtcdBackupStatus {
  const startedAt = status.startTime === undefined ? now : new Date(status.startTime);
  return {
    ...status,
    completionTime: wholeSeconds(now),
    duration: duration(Math.max(0, now.getTime() - startedAt.getTime())),
  };
}

/**
 * The status while the stored backup cannot be deleted. Succeeded, Finished and Ready keep the outcome of the backup.
 */
export function deletionBlocked(backup: EtcdBackup, message: string, now: Date): EtcdBackupStatus {
  const stamp = { generation: backup.metadata.generation, now };
  const reason: BackupReason = "DeletionBlocked";
  const stalled = setCondition(
    backup.status.conditions ?? [],
    { type: "Stalled", status: "True", reason, message },
    stamp,
  );
  return {
    ...backup.status,
    conditions: setCondition(stalled, { type: "Reconciling", status: "True", reason, message }, stamp),
  };
}
