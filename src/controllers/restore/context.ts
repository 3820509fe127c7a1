import { isDeepStrictEqual } from "node:util";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import type { RestoreBlueprint, RestoreObject } from "../../restore/kubernetes/blueprint.ts";
import type { SnapshotCluster } from "../../backup/progress.ts";
import type { Store } from "../../store/store.ts";
import type { Log, Request } from "../reconciler.ts";
import type { EventSink } from "../events.ts";
import type { RestoreReport, RestoreResult } from "./work.ts";
import type { Runs } from "../run-registry.ts";

export type TargetKind = "PersistentVolumeClaim" | "Job" | "Service" | "PodDisruptionBudget" | "StatefulSet";

/** An object of the new cluster, as far as decisions rest on it. */
export interface TargetObject {
  labels: Readonly<Record<string, string>>;
  succeeded: number;
  failed: number;
  readyReplicas: number;
}

export interface PodSight {
  name: string;
  ready: boolean;
  waitsFor?: string;
  failure?: { container: string; exitCode: number; words: string };
}

/** What the controller reads and writes in the API server. */
export interface RestoreResources {
  restore(request: Request, signal: AbortSignal): Promise<EtcdRestore | undefined>;
  backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
  writeRestoreStatus(restore: EtcdRestore, status: EtcdRestoreStatus, signal: AbortSignal): Promise<void>;
  find(kind: TargetKind, at: Request, signal: AbortSignal): Promise<TargetObject | undefined>;
  /** False when the name is taken. */
  create(kind: TargetKind, object: RestoreObject, signal: AbortSignal): Promise<boolean>;
  pods(namespace: string, labels: Record<string, string>, signal: AbortSignal): Promise<PodSight[]>;
}

/** The new cluster, to be proved. */
export interface RestoredCluster extends Pick<SnapshotCluster, "observe" | "hashKV">, AsyncDisposable {
  /** User keys as of a revision. */
  countKeys(endpoint: string, revision: number, signal: AbortSignal): Promise<number>;
  disarm(endpoint: string, alarm: { memberId: string; alarm: string }, signal: AbortSignal): Promise<void>;
}

export interface RestoreControllerDeps {
  resources: RestoreResources;
  runs: Runs<RestoreReport, RestoreResult>;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  openRestored(restore: EtcdRestore, signal: AbortSignal): Promise<RestoredCluster>;
  /** Image of this program, for the members' Jobs; undefined when it was not told. */
  operatorImage: string | undefined;
  toolArguments(restore: EtcdRestore, token: string): RestoreBlueprint["toolArguments"];
  freshToken(now: Date): string;
  events: EventSink;
  now: () => Date;
  log: Log;
}

/** One look at one EtcdRestore. */
export interface RestorePass extends RestoreControllerDeps {
  restore: EtcdRestore;
  key: string;
  signal: AbortSignal;
}

/** Writes the status if it differs from what was read. */
export async function writeRestore(
  { resources, restore, signal }: RestorePass,
  status: EtcdRestoreStatus,
): Promise<void> {
  if (!isDeepStrictEqual(status, restore.status)) await resources.writeRestoreStatus(restore, status, signal);
}
