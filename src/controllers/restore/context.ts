import { isDeepStrictEqual } from "node:util";
import type { RestoreEvent } from "../../api/v1alpha1/events.ts";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import type { SnapshotCluster } from "../../backup/source.ts";
import type { RestoreReport, RestoreResult } from "../../core/restore/observed.ts";
import type { StoreFacts } from "../../core/store/facts.ts";
import type { JobStore } from "../../core/store/job-store.ts";
import type { RestoreObject } from "../../restore/kubernetes/blueprint.ts";
import type { Store } from "../../store/store.ts";
import type { EventSink, ObjectEvents } from "../events.ts";
import type { Log } from "../../core/log.ts";
import type { Request } from "../reconciler.ts";
import type { StoreHolds } from "../store/holds.ts";
import type { Line } from "../admission.ts";
import type { Runner } from "../runner.ts";

export type TargetKind = "PersistentVolumeClaim" | "Job" | "Service" | "PodDisruptionBudget" | "StatefulSet";

/** The part of an object of the new cluster that decisions depend on. */
export interface TargetObject {
  labels: Readonly<Record<string, string>>;
  /** Of a Job. */
  succeeded: number;
  failed: number;
  /** Of a StatefulSet. */
  readyReplicas: number;
}

/** A Pod. `waitsFor`: why it does not run. `failure`: the container that failed, with its last output. */
export interface ObservedPod {
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
  /** False when an object of this name exists. */
  create(kind: TargetKind, object: RestoreObject, signal: AbortSignal): Promise<boolean>;
  pods(namespace: string, labels: Record<string, string>, signal: AbortSignal): Promise<ObservedPod[]>;
}

/** The calls to the new cluster that its verification needs. */
export interface RestoredCluster extends Pick<SnapshotCluster, "observe" | "hashKV">, AsyncDisposable {
  /** The number of user keys at a revision. */
  countKeys(endpoint: string, revision: number, signal: AbortSignal): Promise<number>;
  disarm(endpoint: string, alarm: { memberId: string; alarm: string }, signal: AbortSignal): Promise<void>;
}

export interface RestoreControllerDeps {
  resources: RestoreResources;
  admission: Line;
  runs: RestoreRunner;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  factsOf(store: EtcdBackupStore): StoreFacts;
  /** What the members' Jobs need to read the store as the operator does. */
  jobStore(store: EtcdBackupStore, signal: AbortSignal): Promise<JobStore>;
  /** Image of this program, for the members' Jobs; undefined when the operator was not given it. */
  operatorImage: string | undefined;
  holds: StoreHolds;
  events: EventSink;
  now: () => Date;
  log: Log;
}

/** One step of an EtcdRestore that the operator does itself. It is data, so another process could do the step. */
export interface RestoreWork {
  step: RestoreReport["step"];
  restore: EtcdRestore;
}

export type RestoreRunner = Runner<RestoreWork, RestoreReport, RestoreResult>;

/** What a step needs. */
export interface RestoreWorkDeps
  extends Pick<RestoreControllerDeps, "resources" | "openStore" | "factsOf" | "operatorImage" | "log"> {
  openRestored(restore: EtcdRestore, signal: AbortSignal): Promise<RestoredCluster>;
}

/** One pass over one EtcdRestore: the object that it read, and what it needs to act on it. */
export interface RestoreContext extends Omit<RestoreControllerDeps, "events"> {
  restore: EtcdRestore;
  key: string;
  events: ObjectEvents<RestoreEvent>;
  signal: AbortSignal;
}

/** Writes the status if it differs from the one that was read. */
export async function writeRestoreStatus(
  { resources, restore, signal }: RestoreContext,
  status: EtcdRestoreStatus,
): Promise<void> {
  if (!isDeepStrictEqual(status, restore.status)) await resources.writeRestoreStatus(restore, status, signal);
}
