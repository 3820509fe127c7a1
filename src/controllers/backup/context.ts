import { isDeepStrictEqual } from "node:util";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { Manifest } from "../../backup/manifest/manifest.ts";
import type { Store } from "../../store/store.ts";
import type { BackupReport, BackupResult, StartBackupRun } from "./attempt.ts";
import type { Log, Request } from "../reconciler.ts";
import type { EventSink } from "../events.ts";
import type { Runs } from "../run-registry.ts";

export interface BackupControllerDeps {
  resources: BackupResources;
  runs: Runs<BackupReport, BackupResult>;
  startRun: StartBackupRun;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  events: EventSink;
  /** Called once for each EtcdBackup that has ended. */
  ended(backup: EtcdBackup, manifest: Manifest | undefined): void;
  now: () => Date;
  log: Log;
}

/** What the controller reads and writes in the API server. */
export interface BackupResources {
  backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  writeStatus(backup: EtcdBackup, status: EtcdBackupStatus, signal: AbortSignal): Promise<void>;
  writeFinalizers(backup: EtcdBackup, finalizers: string[], signal: AbortSignal): Promise<void>;
}

/** One look at one EtcdBackup: what was observed, and what acting on it needs. */
export interface Pass extends BackupControllerDeps {
  backup: EtcdBackup;
  store: EtcdBackupStore | undefined;
  key: string;
  signal: AbortSignal;
}

export type Again = { againAfterMs: number } | undefined;

/** Writes the status if it differs from what was read. */
export async function write({ resources, backup, signal }: Pass, status: EtcdBackupStatus): Promise<void> {
  if (!isDeepStrictEqual(status, backup.status)) await resources.writeStatus(backup, status, signal);
}
