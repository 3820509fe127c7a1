import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import type { Log } from "../../core/log.ts";
import type { KnownBackups } from "../../core/store/known-backups.ts";
import type { Store } from "../../store/store.ts";
import type { EventSink } from "../events.ts";
import type { Request } from "../reconciler.ts";
import type { Catalogs } from "../store/catalogs.ts";
import type { StoreHolds } from "../store/holds.ts";
import type { VerificationReports } from "./reports.ts";
import type { RunningVerifications } from "./running.ts";

export interface VerificationControllerDeps {
  resources: {
    store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
    backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  };
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  holds: StoreHolds;
  catalogs: Catalogs;
  reports: VerificationReports;
  running: RunningVerifications;
  /** The EtcdBackups, by the watch. */
  known: KnownBackups;
  /** Called with the key of a store or of an EtcdBackup whose status has to say something new. */
  wake: { stores: (key: string) => void; backups: (key: string) => void };
  events: EventSink;
  now: () => Date;
  log: Log;
}

/** One pass over the verifications of one EtcdBackupStore. */
export interface VerificationContext extends VerificationControllerDeps {
  store: EtcdBackupStore;
  key: string;
  catalog: StoreCatalog;
  signal: AbortSignal;
}
