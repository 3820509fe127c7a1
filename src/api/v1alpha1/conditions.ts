import type { ArraySchema, Infer } from "../schema/schema.ts";

/** `status.conditions`, as strict as metav1.Condition, and with observedGeneration required. */
export const conditionsSchema = {
  type: "array",
  description:
    "The state of the object, one condition for each type. Types and reasons are part of the API: scripts may rely on them.",
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
  items: {
    type: "object",
    description: "A condition of the object.",
    required: ["type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"],
    properties: {
      type: {
        type: "string",
        description: "Type of the condition.",
        maxLength: 316,
        pattern:
          "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
      },
      status: {
        type: "string",
        description: "Status of the condition; Unknown until it is decided.",
        enum: ["True", "False", "Unknown"],
      },
      observedGeneration: {
        type: "integer",
        format: "int64",
        description: "The metadata.generation that the condition describes.",
        minimum: 0,
      },
      lastTransitionTime: {
        type: "string",
        format: "date-time",
        description: "When the status of the condition last changed.",
      },
      reason: {
        type: "string",
        description: "Reason of the status, as one CamelCase word.",
        minLength: 1,
        maxLength: 1024,
        pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
      },
      message: { type: "string", description: "Details of the reason for a person.", maxLength: 32768 },
    },
  },
} as const satisfies ArraySchema;

export type Condition = Infer<typeof conditionsSchema.items>;

/** Condition types or reasons, each with its meaning in the API reference. */
export type Vocabulary = Readonly<Record<string, string>>;

export const backupConditions = {
  Finished:
    "True when the backup has succeeded or failed; False before that. Use it to wait for either result.",
  Succeeded:
    "True when the backup is stored, verified and complete; False when it has failed; Unknown before that.",
  Ready: "Equal to Succeeded, for tools that evaluate Ready.",
  Reconciling:
    "True while the operator has work to do: a running attempt, a wait for the next one, or a deletion.",
  Stalled: "True when the backup has failed or its deletion is blocked, and a person has to act.",
  Verified:
    "True when the last verification of the stored backup by spec.verify of its EtcdBackupStore succeeded; False when it failed. Absent before the first. It does not change Ready.",
} as const satisfies Vocabulary;

export const backupReasons = {
  Pending:
    "The backup waits for a free slot, or for another backup of the same etcd. The operator runs a limited number of backups at a time, and one for each etcd.",
  Connecting: "The operator asks the members of the etcd cluster for their state.",
  MemberSelected: "The operator has chosen the member to read from; status.member says which one, and why.",
  Streaming:
    "The operator reads the snapshot from the member and uploads it to the store; status.progress counts the bytes.",
  Verifying:
    "The snapshot has been read completely. The operator completes the upload and verifies it before it writes the manifest.",
  Retrying:
    "An attempt, or a look for the imported backup, failed for a reason that may be temporary; status.nextAttemptTime says when the next one begins.",
  OperatorRestarted:
    "The operator stopped during an attempt. The next operator either finds the completed backup in the store, or discards the attempt and begins another one.",
  Succeeded:
    "The backup is stored, all digests match, and the manifest is written. An imported backup: the store holds its manifest, and its data with the size in the manifest.",
  NoUsableMember:
    "The snapshot can be read from no member: each one is unreachable, a learner, too far behind, corrupt or without a leader.",
  MembersDisagree:
    "The HashKV hashes of the members differ, so at least one member holds different data. The operator does not choose one by itself.",
  SnapshotFailed:
    "The snapshot stream of the member ended early, stalled, or sent another number of bytes than it announced.",
  UploadFailed: "The store did not accept the data object or the manifest.",
  VerificationFailed:
    "A digest, a total or the page structure of the database does not match. The upload is not a backup. An imported backup: its manifest is damaged, or its data is missing or has another size. Of the condition Verified: the stored backup no longer equals its manifest.",
  Verified: "Every byte of the stored backup was read back and equals its manifest.",
  BackupNotFound:
    "The store did not hold the imported backup within spec.timeoutSeconds. As the reason of an event: the operator looks again.",
  StoreNotReady:
    "The EtcdBackupStore does not exist or is ReadOnly, its bucket does not exist, or the operator cannot read the imported backup from it.",
  FolderClaimed:
    "The folder of spec.clusterName in the store belongs to another etcd cluster, or another operator holds it. The operator writes and deletes nothing there. `etcd-backup claim show` tells whose it is.",
  InvalidConfiguration:
    "The operator cannot use a setting, a certificate or an address, or a later release made the imported backup.",
  CredentialsNotFound: "A Secret does not exist, or lacks a key.",
  Unauthorized: "etcd or the store refuses the credentials, or they lack a permission.",
  TimedOut:
    "The backup took longer than spec.timeoutSeconds, over all attempts, or the imported backup could not be read in that time.",
  BackoffLimitExceeded:
    "All attempts that spec.backoffLimit allows have failed; the message gives the error of the last one.",
  InternalError: "The operator itself has a fault; its log has the details.",
  Deleting:
    "The object is being deleted, and the operator deletes the stored backup first, as spec.deletionPolicy says.",
  DeletionBlocked:
    "The operator could not delete the stored backup yet, so the object remains. The annotation etcdbackup.dev/force-delete deletes the object without the stored backup.",
} as const satisfies Vocabulary;

export const storeConditions = {
  Ready: "True when the store answers, accepts the credentials, and permits what spec.accessMode needs.",
  Writer:
    "True when no other operator writes under the name of this one. False when this Kubernetes cluster is a copy of another one that still runs. Absent with accessMode ReadOnly.",
  Stalled: "True while the deletion of the object waits for EtcdBackups that need it. Absent otherwise.",
  Verified:
    "True when no stored backup is known to have failed its last verification; False when one has, or spec.verify.schedule cannot be used. Unknown before the first verification. Absent without spec.verify, unless a backup has failed. It does not change Ready.",
} as const satisfies Vocabulary;

export const storeReasons = {
  Probing: "The operator has not probed the store yet.",
  Reachable: "The last probe could list, write and delete objects.",
  ReadOnly:
    "The last probe could list and read objects. The operator writes nothing, as spec.accessMode says.",
  SoleWriter: "Only this operator writes under the ID of status.writer.",
  CopyOfLivingWriter:
    "This Kubernetes cluster is a copy of another one, whose operator still renews the writer in status.writer.copyOf. This operator writes and deletes nothing in that writer's folders.",
  CopyOfSilentWriter:
    "This Kubernetes cluster is a copy of another one, whose operator is silent. The next backup of each cluster takes its folder over.",
  Unreachable: "The store did not answer, or the connection broke.",
  Unauthorized: "The store refuses the credentials, or they lack a permission.",
  BucketNotFound: "The bucket does not exist.",
  PathNotFound: "The path does not exist in the operator's file system, or is not a directory.",
  InvalidConfiguration: "The operator cannot use a setting, a certificate or an address.",
  CredentialsNotFound: "A Secret does not exist, or lacks a key.",
  StoreFailed: "The store answered with an error.",
  Verified: "No stored backup is known to have failed its last verification.",
  NotVerifiedYet: "No backup has been verified yet.",
  VerificationFailed:
    "Stored backups do not equal their manifests any more; the message names the first ones. They were left in place. `latest` passes them over, and retention neither counts nor removes them.",
  InvalidSchedule: "spec.verify.schedule or spec.verify.timeZone cannot be used; the message says why.",
  NeededByBackups:
    "The object is being deleted, and EtcdBackups with deletionPolicy Delete need it to delete what they stored. The message says how many.",
  InternalError: "The operator itself has a fault; its log has the details.",
} as const satisfies Vocabulary;

export const restoreConditions = {
  Finished:
    "True when the restore has succeeded or failed; False before that. Use it to wait for either result.",
  Succeeded:
    "True when the new cluster runs and is verified against the backup; False when the restore has failed; Unknown before that.",
  Ready: "Equal to Succeeded, for tools that evaluate Ready.",
  Reconciling:
    "True while the operator has work to do: verifying the backup, restoring, starting or verifying the cluster.",
  Stalled: "True when the restore has failed and a person has to act.",
} as const satisfies Vocabulary;

export const restoreReasons = {
  Pending: "The restore waits for a free slot, or for an object that it refers to.",
  Verifying: "The operator reads the whole backup and compares every digest before it creates anything.",
  CreatingVolumes: "The backup is verified. The operator creates a volume for each member.",
  RestoringMembers:
    "A Job for each member restores the backup into its volume; status.members gives the progress of each.",
  StartingCluster: "All volumes hold the restored data, and the members are starting.",
  Proving: "Every member runs. The operator compares the members with one another and with the backup.",
  Retrying: "An attempt failed for a reason that may be temporary; the message says which.",
  Succeeded:
    "The new cluster runs: every member is healthy and follows one leader, HashKV is equal, and it has as many keys as the backup.",
  RestoredBefore:
    "The store has a record that this EtcdRestore ended before. The object came back with a restored API server, and is not run again.",
  BackupNotFound: "The EtcdBackup or the backup does not exist, or the EtcdBackup has not succeeded.",
  BackupDamaged: "The verification of the backup failed; the message says which check. Nothing was created.",
  TargetExists:
    "A StatefulSet, Service, PodDisruptionBudget, Job or volume with a name of the new cluster exists and does not belong to this restore. It was not changed.",
  VersionTooOld:
    "The etcd of the image is of an earlier minor than the backup's, or cannot raise the revision.",
  StorageTooSmall: "The volumes are too small for the backup.",
  MemberFailed: "The Job of a member failed; the message ends with its last line of output.",
  NotProved: "The members run, but differ from one another or from the backup, or could not be compared.",
  StoreNotReady: "The EtcdBackupStore or its bucket does not exist, or the operator cannot reach the store.",
  InvalidConfiguration: "The operator cannot use a setting, a certificate or an address.",
  CredentialsNotFound: "A Secret does not exist, or lacks a key.",
  Unauthorized: "The store or etcd refuses the credentials, or they lack a permission.",
  TimedOut: "The restore took longer than spec.timeoutSeconds, over all attempts.",
  InternalError: "The operator itself has a fault; its log has the details.",
} as const satisfies Vocabulary;

export const scheduleConditions = {
  Ready:
    "True when the schedule is valid and its store can take backups, also while it is suspended. A failed backup does not change it.",
  LastBackupSucceeded:
    "True when the last EtcdBackup of the schedule succeeded; False when it failed; Unknown before the first one has ended.",
  Retained:
    "True when retention has removed what its plan says; False when it could not. Unknown before the first backup.",
} as const satisfies Vocabulary;

export const scheduleReasons = {
  Scheduled: "The next backup begins at status.nextScheduleTime.",
  Suspended: "spec.suspend is set: no backup begins.",
  InvalidSchedule:
    "spec.schedule or spec.timeZone cannot be used, or no time ever matches; the message says why. No backup begins.",
  StoreNotReady:
    "The EtcdBackupStore does not exist, is ReadOnly, or its last probe failed. Without a store that can be written no backup begins: a time that comes meanwhile is run when the store is ready again, within spec.startingDeadlineSeconds.",
  NoBackupYet: "No EtcdBackup of the schedule has ended.",
  Succeeded: "The last EtcdBackup succeeded; the message names it.",
  Failed: "The last EtcdBackup failed; the message says why.",
  AdoptionRefused:
    "An EtcdBackup with the name of the next one exists and is not of this schedule. It was not changed, and this time is not run.",
  CreationFailed:
    "The API server refused the EtcdBackup of a time, for instance by a quota or an admission webhook; the message says why. The operator tries again every 30 seconds, until the next time or the end of spec.startingDeadlineSeconds.",
  CarriedOut:
    "Retention has made its plan after the last successful backup, and has removed what the plan says.",
  RemovalBlocked:
    "Retention could not remove a backup, or could not make a plan; the message says why. The operator tries again after an hour, and after the next backup.",
} as const satisfies Vocabulary;

export type ScheduleReason = keyof typeof scheduleReasons;
export type RestoreReason = keyof typeof restoreReasons;
export type BackupReason = keyof typeof backupReasons;
export type StoreReason = keyof typeof storeReasons;
