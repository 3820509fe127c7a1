import {
  acceptedBackupChanges,
  acceptedBackups,
  refusedBackupChanges,
  refusedBackups,
} from "./cases-backup.ts";
import {
  acceptedRestoreChanges,
  acceptedRestores,
  refusedRestoreChanges,
  refusedRestores,
} from "./cases-restore.ts";
import {
  acceptedScheduleChanges,
  acceptedSchedules,
  refusedScheduleChanges,
  refusedSchedules,
} from "./cases-schedule.ts";
import { acceptedStoreChanges, acceptedStores, refusedStoreChanges, refusedStores } from "./cases-store.ts";

/** The cases of all kinds. */
export const accepted = [...acceptedBackups, ...acceptedStores, ...acceptedRestores, ...acceptedSchedules];
export const refused = [...refusedBackups, ...refusedStores, ...refusedRestores, ...refusedSchedules];
export const acceptedChanges = [
  ...acceptedBackupChanges,
  ...acceptedStoreChanges,
  ...acceptedRestoreChanges,
  ...acceptedScheduleChanges,
];
export const refusedChanges = [
  ...refusedBackupChanges,
  ...refusedStoreChanges,
  ...refusedRestoreChanges,
  ...refusedScheduleChanges,
];
