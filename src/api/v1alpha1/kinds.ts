import { etcdBackupDefinition } from "./etcd-backup.ts";
import { etcdBackupStoreDefinition } from "./etcd-backup-store.ts";
import { etcdRestoreDefinition } from "./etcd-restore.ts";
import type { ResourceDefinition } from "../schema/resource.ts";

/** Every kind, in the order in which a person meets them. */
export const kinds: readonly ResourceDefinition[] = [
  etcdBackupStoreDefinition,
  etcdBackupDefinition,
  etcdRestoreDefinition,
];
