import { isDeepStrictEqual } from "node:util";
import type { BackupEvent } from "../../api/v1alpha1/events.ts";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreFacts } from "../../core/store/facts.ts";
import type { KnownWriters } from "../../core/store/writer.ts";
import type { Store } from "../../store/store.ts";
import type { EventSink, ObjectEvents } from "../events.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";
import type { Log } from "../../core/log.ts";
import type { Request } from "../reconciler.ts";
import type { Catalogs } from "../store/catalogs.ts";
import type { StoreHolds } from "../store/holds.ts";
import type { Line } from "../admission.ts";
import type { BackupRunner } from "./attempt.ts";
import type { FolderLooks } from "./recover.ts";

export interface BackupControllerDeps {
  resources: BackupResources;
  writers: KnownWriters;
  /** What the stores hold. A backup that was deleted is noted there. */
  catalogs: Catalogs;
  admission: Line;
  runs: BackupRunner;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  factsOf(store: EtcdBackupStore): StoreFacts;
  events: EventSink;
  metrics: BackupMetrics;
  /** By store: held while its finalizer is removed, or that of one of its EtcdBackups is added. */
  guards: KeyedMutex;
  holds: StoreHolds;
  now: () => Date;
  log: Log;
}

/** What the controller reads and writes in the API server. */
export interface BackupResources {
  backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  writeStatus(backup: EtcdBackup, status: EtcdBackupStatus, signal: AbortSignal): Promise<void>;
  writeFinalizers(backup: EtcdBackup, finalizers: string[], signal: AbortSignal): Promise<void>;
  writeStoreFinalizers(store: EtcdBackupStore, finalizers: string[], signal: AbortSignal): Promise<void>;
  /** Whether the namespace is being deleted. Throws Unauthorized without the right to read it. */
  isTerminating(namespace: string, signal: AbortSignal): Promise<boolean>;
  hasSecret(request: Request, signal: AbortSignal): Promise<boolean>;
}

export interface BackupMetrics {
  backupEnded(cluster: { namespace: string; cluster: string }, result: "succeeded" | "failed"): void;
  /** A deleted EtcdBackup with `deletionPolicy: Delete` left its stored backup in the store. */
  storedBackupLeft(namespace: string): void;
}

/** One pass over one EtcdBackup: the objects that it read, and what it needs to act on them. */
export interface BackupContext extends Omit<BackupControllerDeps, "events"> {
  /** Events of making the backup, and of deleting it. */
  events: ObjectEvents<BackupEvent>;
  deletionEvents: ObjectEvents<BackupEvent>;
  backup: EtcdBackup;
  store: EtcdBackupStore | undefined;
  folderLooks: FolderLooks;
  key: string;
  /** See `turnKeyOf`. */
  turn: string | undefined;
  signal: AbortSignal;
}

/** Writes the status if it differs from the one that was read. */
export async function writeStatus(
  { resources, backup, signal }: BackupContext,
  status: EtcdBackupStatus,
): Promise<void> {
  if (!isDeepStrictEqual(status, backup.status)) await resources.writeStatus(backup, status, signal);
}
