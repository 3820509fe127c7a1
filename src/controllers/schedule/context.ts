import { isDeepStrictEqual } from "node:util";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type {
  EtcdBackupSchedule,
  EtcdBackupScheduleStatus,
} from "../../api/v1alpha1/etcd-backup-schedule.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { ScheduleEvent } from "../../api/v1alpha1/events.ts";
import type { Log } from "../../core/log.ts";
import type { childOf } from "../../core/schedule/child.ts";
import type { EventSink, ObjectEvents } from "../events.ts";
import type { Request } from "../reconciler.ts";
import type { KnownWriters } from "../../core/store/writer.ts";
import type { Store } from "../../store/store.ts";
import type { Catalogs } from "../store/catalogs.ts";
import type { StoreHolds } from "../store/holds.ts";

export interface ScheduleResources {
  schedule(request: Request, signal: AbortSignal): Promise<EtcdBackupSchedule | undefined>;
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  writeScheduleStatus(
    schedule: EtcdBackupSchedule,
    status: EtcdBackupScheduleStatus,
    signal: AbortSignal,
  ): Promise<void>;
  /** False when an EtcdBackup of this name exists. */
  createBackup(draft: ReturnType<typeof childOf>, signal: AbortSignal): Promise<boolean>;
  /** Deletes the EtcdBackup that was read, and none that was made again under its name. */
  removeBackup(backup: EtcdBackup, signal: AbortSignal): Promise<void>;
}

export interface ScheduleControllerDeps {
  resources: ScheduleResources;
  /** The EtcdBackups of the schedule with this key, by the watch, which may be behind. */
  childrenOf(key: string): readonly EtcdBackup[];
  /** The EtcdRestores of all namespaces, by the watch. */
  restores(): readonly EtcdRestore[];
  holds: StoreHolds;
  catalogs: Catalogs;
  writers: KnownWriters;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  /** The UID of the namespace kube-system. Undefined when the operator may not read it. */
  kubernetesCluster(signal: AbortSignal): Promise<string | undefined>;
  events: EventSink;
  now: () => Date;
  log: Log;
}

/** One pass over one EtcdBackupSchedule: the object that it read, and what it needs to act on it. */
export interface ScheduleContext extends Omit<ScheduleControllerDeps, "events"> {
  schedule: EtcdBackupSchedule;
  key: string;
  events: ObjectEvents<ScheduleEvent>;
  signal: AbortSignal;
}

/** Writes the status if it differs from the one that was read. */
export async function writeScheduleStatus(
  { resources, schedule, signal }: ScheduleContext,
  status: EtcdBackupScheduleStatus,
): Promise<void> {
  if (!isDeepStrictEqual(status, schedule.status))
    await resources.writeScheduleStatus(schedule, status, signal);
}
