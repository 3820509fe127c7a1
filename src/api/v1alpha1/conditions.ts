import type { ArraySchema, Infer } from "../schema/schema.ts";

/** `status.conditions`, checked as strictly as metav1.Condition; here every condition also says which generation it saw. */
export const conditionsSchema = {
  type: "array",
  description:
    "What is known of the object, one entry a type. Types and reasons are API: scripts may rely on them.",
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
  items: {
    type: "object",
    description: "One condition.",
    required: ["type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"],
    properties: {
      type: {
        type: "string",
        description: "What the condition is about.",
        maxLength: 316,
        pattern:
          "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
      },
      status: {
        type: "string",
        description: "Unknown until it is decided.",
        enum: ["True", "False", "Unknown"],
      },
      observedGeneration: {
        type: "integer",
        format: "int64",
        description: "The metadata.generation that the condition was set for.",
        minimum: 0,
      },
      lastTransitionTime: {
        type: "string",
        format: "date-time",
        description: "When the status last changed.",
      },
      reason: {
        type: "string",
        description: "Why, in one CamelCase word.",
        minLength: 1,
        maxLength: 1024,
        pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
      },
      message: { type: "string", description: "The same for a person, with details.", maxLength: 32768 },
    },
  },
} as const satisfies ArraySchema;

export type Condition = Infer<typeof conditionsSchema.items>;

/** Condition types or reasons, each with the one sentence that documents it. */
export type Vocabulary = Readonly<Record<string, string>>;

export const backupConditions = {
  Finished: "True when the run has ended, well or not; False before. Wait for it where either end will do.",
  Succeeded:
    "True when the backup is stored, proved and can be restored; False when it failed for good; Unknown until then.",
  Ready: "The same as Succeeded, for tools that look at Ready.",
  Reconciling: "True while the operator has work to do: running, waiting to try again, or deleting.",
  Stalled: "True when the backup failed for good, or its deletion is blocked, and a person has to act.",
} as const satisfies Vocabulary;

export const backupReasons = {
  Pending: "Seen, and waiting for its turn: the number of backups that run at a time is bounded.",
  Connecting: "The members of the etcd cluster are being asked how they are.",
  MemberSelected: "The member to read from is chosen; status.member says which and why.",
  Streaming:
    "The snapshot is being read from the member and written to the store; status.progress says how far.",
  Verifying:
    "All bytes are read from the member; they are being stored and proved before the manifest makes them a backup.",
  Retrying: "An attempt failed for a reason that may pass; status.nextAttemptTime says when the next begins.",
  OperatorRestarted:
    "The operator stopped in the middle of an attempt; nothing of it counts, and the run is taken up again.",
  Succeeded: "The backup is stored, every digest agreed, and its manifest is written.",
  NoUsableMember:
    "No member may serve the snapshot: unreachable, learner, lagging, corrupt or without a leader.",
  MembersDisagree:
    "The members' HashKV differ: at least one of them holds other data, and none is chosen silently.",
  SnapshotFailed: "The member's stream broke off, stalled or announced something else than it sent.",
  UploadFailed: "The store did not take the data or the manifest.",
  VerificationFailed: "A digest, a total or the page structure disagreed; what was uploaded is not a backup.",
  StoreNotReady: "The EtcdBackupStore is missing or ReadOnly, or its bucket is not there.",
  InvalidConfiguration: "A setting, certificate or address cannot be used as it stands.",
  CredentialsNotFound: "A Secret, or a key in it, is not there.",
  Unauthorized: "etcd or the store refuses the credentials, or they lack a permission.",
  TimedOut: "The run took longer than spec.timeoutSeconds, all attempts together.",
  BackoffLimitExceeded:
    "Every attempt that spec.backoffLimit allows has failed; the message tells of the last one.",
  InternalError: "A fault of the operator itself; its log has the details.",
  Deleting: "The object is being deleted, and the stored backup with it, as spec.deletionPolicy asks.",
  DeletionBlocked:
    "The stored backup could not be deleted yet, so the object stays; the annotation etcdbackup.dev/force-delete lets it go without.",
} as const satisfies Vocabulary;

export const storeConditions = {
  Ready: "True when the store answers, takes the credentials and can do what spec.accessMode needs.",
} as const satisfies Vocabulary;

export const storeReasons = {
  Probing: "The store has not been asked yet.",
  Reachable: "The last probe could list, write and delete.",
  ReadOnly: "The last probe could list and read; spec.accessMode says that nothing is written.",
  Unreachable: "No answer from the store, or the connection broke.",
  Unauthorized: "The store refuses the credentials, or they lack a permission.",
  BucketNotFound: "The bucket does not exist.",
  PathNotFound: "The path is not there, or is no directory, where the operator runs.",
  InvalidConfiguration: "A setting, certificate or address cannot be used as it stands.",
  CredentialsNotFound: "A Secret, or a key in it, is not there.",
  StoreFailed: "The store answered with an error of its own.",
  InternalError: "A fault of the operator itself; its log has the details.",
} as const satisfies Vocabulary;

export const restoreConditions = {
  Finished:
    "True when the restore has ended, well or not; False before. Wait for it where either end will do.",
  Succeeded:
    "True when the new cluster runs and is proved equal to the backup; False when the restore failed for good; Unknown until then.",
  Ready: "The same as Succeeded, for tools that look at Ready.",
  Reconciling: "True while the operator has work to do: verifying, restoring, starting, proving.",
  Stalled: "True when the restore failed for good and a person has to act.",
} as const satisfies Vocabulary;

export const restoreReasons = {
  Pending: "Seen, and waiting for its turn or for what it refers to.",
  Verifying: "The whole backup is being read, and every digest compared, before anything is created.",
  CreatingVolumes: "The backup is good; a volume is being made for each member.",
  RestoringMembers:
    "A Job for each member puts the backup into its volume; status.members says how far each is.",
  StartingCluster: "All volumes hold the data; the members are starting.",
  Proving: "Every member runs; they are being compared with one another and with the backup.",
  Retrying: "An attempt failed for a reason that may pass; the message tells which.",
  Succeeded:
    "The new cluster runs: every member healthy, one leader, equal HashKV, as many keys as the backup.",
  RestoredBefore:
    "The store says that this very EtcdRestore has ended before: the object came back with a backup of its own API server, and is not run again.",
  BackupNotFound: "There is no such EtcdBackup or backup, or it has not succeeded.",
  BackupDamaged: "The backup does not verify; the message says which check failed. Nothing was created.",
  TargetExists:
    "A StatefulSet, Service, PodDisruptionBudget or volume of the new cluster's names exists and is not this restore's. It was not touched.",
  VersionTooOld: "The etcd of the image is of an earlier minor than the backup's, or cannot bump revisions.",
  StorageTooSmall: "The volumes asked for are too small for the backup.",
  MemberFailed: "A member's Job failed; the message ends with its last words.",
  NotProved: "The members run, and are not equal to one another or to the backup.",
  StoreNotReady: "The EtcdBackupStore is missing, or its bucket is not there, or cannot be reached.",
  InvalidConfiguration: "A setting, certificate or address cannot be used as it stands.",
  CredentialsNotFound: "A Secret, or a key in it, is not there.",
  Unauthorized: "The store or etcd refuses the credentials, or they lack a permission.",
  TimedOut: "The restore took longer than spec.timeoutSeconds, all attempts together.",
  InternalError: "A fault of the operator itself; its log has the details.",
} as const satisfies Vocabulary;

export type RestoreReason = keyof typeof restoreReasons;
export type BackupConditionType = keyof typeof backupConditions;
export type BackupReason = keyof typeof backupReasons;
export type StoreConditionType = keyof typeof storeConditions;
export type StoreReason = keyof typeof storeReasons;
