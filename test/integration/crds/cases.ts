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
import { acceptedStoreChanges, acceptedStores, refusedStoreChanges, refusedStores } from "./cases-store.ts";

/** The cases of all kinds. */
export const accepted = [...acceptedBackups, ...acceptedStores, ...acceptedRestores];
export const refused = [...refusedBackups, ...refusedStores, ...refusedRestores];
export const acceptedChanges = [...acceptedBackupChanges, ...acceptedStoreChanges, ...acceptedRestoreChanges];
export const refusedChanges = [...refusedBackupChanges, ...refusedStoreChanges, ...refusedRestoreChanges];
