import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** What /metrics serves. Names and labels are API; a series of a resource goes with the resource. */
export interface Metrics {
  readonly registry: Registry;
  backupEnded(labels: ClusterLabels, result: "succeeded" | "failed"): void;
  /** Undefined when there is no EtcdBackup of the cluster any more. */
  latestBackup(labels: ClusterLabels, latest: LatestBackup | undefined): void;
  /** Those of the term under way; each call replaces the one before. */
  running(count: () => number): void;
  leading(leads: boolean): void;
  storeReady(store: { namespace: string; store: string }, ready: boolean | undefined): void;
  reconciled(controller: string, result: string, seconds: number): void;
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
  const latest = latestGauges(registers);
  const total = new Counter({
    name: "etcd_backup_total",
    help: "Backups that have ended, by result.",
    labelNames: ["namespace", "cluster", "result"],
    registers,
  });
  const ready = new Gauge({
    name: "etcd_backup_store_ready",
    help: "1 when the store can be used, else 0.",
    labelNames: ["namespace", "store"],
    registers,
  });
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

  let countRunning = () => 0;
  registry.registerMetric(
    new Gauge({
      name: "etcd_backup_running",
      help: "Backups that run now.",
      registers: [],
      collect() {
        this.set(countRunning());
      },
    }),
  );
  const leader = new Gauge({
    name: "etcd_backup_operator_leader",
    help: "1 in the replica that leads, 0 in one that stands by.",
    registers,
  });

  return {
    registry,
    backupEnded: (labels, result) => total.inc({ ...labels, result }),
    latestBackup: latest,
    running(count) {
      countRunning = count;
    },
    leading: (leads) => leader.set(leads ? 1 : 0),
    storeReady(labels, isReady) {
      if (isReady === undefined) ready.remove(labels);
      else ready.set(labels, isReady ? 1 : 0);
    },
    reconciled(controller, result, seconds) {
      passes.inc({ controller, result });
      passSeconds.observe({ controller }, seconds);
    },
  };
}

function latestGauges(registers: Registry[]): Metrics["latestBackup"] {
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `etcd_backup_last_${name}`, help, labelNames: ["namespace", "cluster"], registers });
  const succeededAt = gauge("success_timestamp_seconds", "When the newest successful backup was complete.");
  const failedAt = gauge("failure_timestamp_seconds", "When a backup last failed for good.");
  const took = gauge("duration_seconds", "Seconds that the newest successful backup took.");
  const size = gauge("size_bytes", "Bytes of the database in the newest successful backup.");
  const stored = gauge("stored_bytes", "Bytes of the newest successful backup in the store.");
  const revision = gauge("revision", "Revision of the newest successful backup.");

  return (labels, latest) => {
    const set = (to: typeof took, value: number | undefined) =>
      value === undefined ? to.remove(labels) : to.set(labels, value);
    const { success, failedAt: failed } = latest ?? {};
    set(succeededAt, success === undefined ? undefined : success.completedAt.getTime() / 1000);
    set(failedAt, failed === undefined ? undefined : failed.getTime() / 1000);
    set(took, success?.durationSeconds);
    set(size, success?.sizeBytes);
    set(stored, success?.storedBytes);
    set(revision, success?.revision);
  };
}
