import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** What /metrics serves. Metric names and labels are API. The series of a resource end with the resource. */
export interface Metrics {
  readonly registry: Registry;
  backupEnded(labels: ClusterLabels, result: "succeeded" | "failed"): void;
  /** A deleted EtcdBackup with `deletionPolicy: Delete` left its stored backup in the store. */
  storedBackupLeft(namespace: string): void;
  /** Undefined when the cluster has no EtcdBackup any more. */
  latestBackup(labels: ClusterLabels, latest: LatestBackup | undefined): void;
  /** Sets the source of the number of running backups; each call replaces the one before. */
  running(count: () => number): void;
  /** Sets the source of the number of stores that operators of other Leases hold. */
  foreignStores(count: () => number): void;
  leading(leads: boolean): void;
  /** Undefined when the EtcdBackupStore was removed. */
  storeReady(store: StoreLabels, ready: boolean | undefined): void;
  /** Undefined when nothing is known of verifications in the store. */
  verification(store: StoreLabels, state: VerificationState | undefined): void;
  reconciled(controller: string, result: string, seconds: number): void;
}

export interface StoreLabels extends Record<string, string> {
  namespace: string;
  store: string;
}

export interface VerificationState {
  /** Backups whose last verification failed. */
  failed: number;
  /** When a verification last succeeded. */
  succeededAt?: Date;
}

export interface ClusterLabels extends Record<string, string> {
  namespace: string;
  cluster: string;
}

export interface LatestBackup {
  success?: {
    completedAt: Date;
    durationSeconds: number;
    sizeBytes: number;
    storedBytes: number;
    revision: number;
  };
  failedAt?: Date;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const ended = new Counter({
    name: "etcd_backup_total",
    help: "Backups that have ended, by result.",
    labelNames: ["namespace", "cluster", "result"],
    registers,
  });
  const left = new Counter({
    name: "etcd_backup_left_in_store_total",
    help: "Stored backups that outlived their EtcdBackup although its deletionPolicy is Delete, because its namespace was deleted and nothing in it could reach the store any more.",
    labelNames: ["namespace"],
    registers,
  });
  const leader = new Gauge({
    name: "etcd_backup_operator_leader",
    help: "1 in the replica that leads, 0 in one that stands by.",
    registers,
  });
  return {
    registry,
    backupEnded: (labels, result) => ended.inc({ ...labels, result }),
    storedBackupLeft: (namespace) => left.inc({ namespace }),
    latestBackup: latestBackupGauges(registers),
    running: countGauge(registry, "etcd_backup_running", "Backups that run now."),
    foreignStores: countGauge(
      registry,
      "etcd_backup_operator_foreign_stores",
      "EtcdBackupStores that the operator of another Lease holds; this one leaves them alone.",
    ),
    leading: (leads) => leader.set(leads ? 1 : 0),
    storeReady: storeReadyGauge(registers),
    verification: verificationGauges(registers),
    reconciled: reconcileMetrics(registers),
  };
}

/** A gauge that asks for its value. The returned function sets whom it asks. */
function countGauge(registry: Registry, name: string, help: string): (count: () => number) => void {
  let current = () => 0;
  registry.registerMetric(
    new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(current());
      },
    }),
  );
  return (count) => {
    current = count;
  };
}

function storeReadyGauge(registers: Registry[]): Metrics["storeReady"] {
  const gauge = new Gauge({
    name: "etcd_backup_store_ready",
    help: "1 when the store can be used, else 0.",
    labelNames: ["namespace", "store"],
    registers,
  });
  return (labels, ready) => {
    if (ready === undefined) gauge.remove(labels);
    else gauge.set(labels, ready ? 1 : 0);
  };
}

function verificationGauges(registers: Registry[]): Metrics["verification"] {
  const gauge = (name: string, help: string) =>
    new Gauge({
      name: `etcd_backup_verification_${name}`,
      help,
      labelNames: ["namespace", "store"],
      registers,
    });
  const failed = gauge("failed", "Stored backups whose last verification failed.");
  const succeededAt = gauge(
    "last_success_timestamp_seconds",
    "When a verification of a stored backup last succeeded.",
  );
  return (labels, state) => {
    if (state === undefined) failed.remove(labels);
    else failed.set(labels, state.failed);
    if (state?.succeededAt === undefined) succeededAt.remove(labels);
    else succeededAt.set(labels, state.succeededAt.getTime() / 1000);
  };
}

function reconcileMetrics(registers: Registry[]): Metrics["reconciled"] {
  const passes = new Counter({
    name: "etcd_backup_reconcile_total",
    help: "Reconcile passes, by result.",
    labelNames: ["controller", "result"],
    registers,
  });
  const passSeconds = new Histogram({
    name: "etcd_backup_reconcile_duration_seconds",
    help: "Seconds of one reconcile pass.",
    labelNames: ["controller"],
    buckets: [0.005, 0.025, 0.1, 0.5, 2, 10, 60],
    registers,
  });
  return (controller, result, seconds) => {
    passes.inc({ controller, result });
    passSeconds.observe({ controller }, seconds);
  };
}

function latestBackupGauges(registers: Registry[]): Metrics["latestBackup"] {
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `etcd_backup_last_${name}`, help, labelNames: ["namespace", "cluster"], registers });
  const succeededAt = gauge("success_timestamp_seconds", "When the newest successful backup was complete.");
  const failedAt = gauge("failure_timestamp_seconds", "When a backup last failed for good.");
  const duration = gauge("duration_seconds", "Seconds that the newest successful backup took.");
  const size = gauge("size_bytes", "Bytes of the database in the newest successful backup.");
  const stored = gauge("stored_bytes", "Bytes of the newest successful backup in the store.");
  const revision = gauge("revision", "Revision of the newest successful backup.");

  return (labels, latest) => {
    const set = (metric: typeof duration, value: number | undefined) =>
      value === undefined ? metric.remove(labels) : metric.set(labels, value);
    const { success, failedAt: failed } = latest ?? {};
    set(succeededAt, success === undefined ? undefined : success.completedAt.getTime() / 1000);
    set(failedAt, failed === undefined ? undefined : failed.getTime() / 1000);
    set(duration, success?.durationSeconds);
    set(size, success?.sizeBytes);
    set(stored, success?.storedBytes);
    set(revision, success?.revision);
  };
}
