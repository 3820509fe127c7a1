import type { BackupReason, RestoreReason, ScheduleReason, StoreReason, Vocabulary } from "./conditions.ts";

const heldByAnother =
  "An operator with another Lease leaves the object alone, since status.operator of the EtcdBackupStore names the operator that works on it.";

/** Reasons of events that are not reasons of conditions. */
export const backupEvents = {
  SnapshotStarted: "An attempt begins; the note says which one of how many.",
  MembersAgree:
    "HashKV is equal on the members that the note names; it also says how long ago, when the result of an earlier backup was reused.",
  MembersNotCompared: "HashKV was not compared; the note says why.",
  QuorumNotConfirmed:
    "The cluster lost its quorum during the stream, or the member no longer answered. There was quorum before the first byte.",
  SnapshotSucceeded: "The backup is stored and verified; the note names it.",
  BackupImported: "The operator recorded a backup that the store already held; the note names it.",
  HeldByAnotherOperator: heldByAnother,
  VerifiedAgain: "The stored backup verifies, after a verification that had failed.",
  StoredBackupDeleted: "The stored backup was deleted, as spec.deletionPolicy asks.",
} as const satisfies Vocabulary;

export const restoreEvents = {
  BackupVerified: "The operator read the whole backup, and every digest agreed.",
  MembersRestored: "The volume of every member holds the data.",
  ClusterStarted: "Every member of the new cluster is ready.",
  HeldByAnotherOperator: heldByAnother,
  AlarmRaised: "An alarm came with the backup and is still raised.",
  RestoreSucceeded: "The new cluster runs and is equal to the backup.",
  EndNotRecorded:
    "The restore has succeeded, and its end could not be recorded in the store; the note says why.",
} as const satisfies Vocabulary;

export const storeEvents = {
  BackupsImported: "The operator made EtcdBackups for backups that the store holds; the note says how many.",
  VerifiedAgain: "A stored backup verifies, after a verification that had failed; the note names it.",
  RecordNameTaken:
    "A backup in the store has no EtcdBackup, because another one has the name that its would have. That one was left alone.",
  HeldByAnotherOperator: heldByAnother,
  TakenOver:
    "The operator that held the store has not renewed its hold, and the operator of another Lease took over.",
} as const satisfies Vocabulary;

export const scheduleEvents = {
  BackupCreated: "The operator created an EtcdBackup; the note names it and its time.",
  BackupExists:
    "The EtcdBackup for this time, or for this value of the annotation etcdbackup.dev/trigger, exists and has ended. No other one is created.",
  BackupSkipped: "A time came while a backup of the schedule was running, and is not run.",
  TimeMissed: "A time could not be run within spec.startingDeadlineSeconds.",
  ClockSetBack:
    "The operator's clock was set back by more than a day. Times that were run already are not run again.",
  BackupRemoved: "Retention removed a stored backup; the note says why.",
  RecordRemoved:
    "The operator deleted an EtcdBackup: it was beyond the history limits, and its stored backup remains; or the store does not hold its backup any more.",
} as const satisfies Vocabulary;

export type ScheduleEvent = keyof typeof scheduleEvents | ScheduleReason;
export type BackupEvent = keyof typeof backupEvents | BackupReason;
export type RestoreEvent = keyof typeof restoreEvents | RestoreReason;
export type StoreEvent = keyof typeof storeEvents | StoreReason;
