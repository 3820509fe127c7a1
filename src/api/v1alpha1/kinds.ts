import { etcdBackupDefinition } from "./etcd-backup.ts";
import { etcdBackupStoreDefinition } from "./etcd-backup-store.ts";
import { etcdBackupScheduleDefinition } from "./etcd-backup-schedule.ts";
import { etcdRestoreDefinition } from "./etcd-restore.ts";
import type { ResourceDefinition } from "../schema/resource.ts";

/** All kinds, in the order of the reference page. */
export const kinds: readonly ResourceDefinition[] = [
  etcdBackupStoreDefinition,
  etcdBackupDefinition,
  etcdBackupScheduleDefinition,
  etcdRestoreDefinition,
];
