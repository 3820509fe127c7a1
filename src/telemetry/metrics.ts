import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** What /metrics serves. Names and labels are API; a series of a resource goes with the resource. */
export interface Metrics {
  readonly registry: Registry;
  backupEnded(backup: { namespace: string; cluster: string }, outcome: BackupOutcome): void;
  running(count: () => number): void;
  storeReady(store: { namespace: string; store: string }, ready: boolean | undefined): void;
  reconciled(controller: string, result: string, seconds: number): void;
}

export type BackupOutcome =
  | {
      result: "succeeded";
      completedAt: Date;
      durationSeconds: number;
      sizeBytes: number;
      storedBytes: number;
      revision: number;
    }
  | { result: "failed"; at: Date };

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const labelNames = ["namespace", "cluster"];
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers });
  const total = new Counter({
    name: "etcd_backup_total",
    help: "Backups that have ended, by result.",
    labelNames: [...labelNames, "result"],
    registers,
  });
  const lastSuccess = gauge(
    "etcd_backup_last_success_timestamp_seconds",
    "When the newest successful backup was complete.",
  );
  const lastFailure = gauge(
    "etcd_backup_last_failure_timestamp_seconds",
    "When a backup last failed for good.",
  );
  const took = gauge("etcd_backup_last_duration_seconds", "Seconds that the newest successful backup took.");
  const size = gauge("etcd_backup_last_size_bytes", "Bytes of the database in the newest successful backup.");
  const stored = gauge(
    "etcd_backup_last_stored_bytes",
    "Bytes of the newest successful backup in the store.",
  );
  const revision = gauge("etcd_backup_last_revision", "Revision of the newest successful backup.");
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

  return {
    registry,
    backupEnded(labels, outcome) {
      total.inc({ ...labels, result: outcome.result });
      if (outcome.result === "failed") {
        lastFailure.set(labels, outcome.at.getTime() / 1000);
        return;
      }
      lastSuccess.set(labels, outcome.completedAt.getTime() / 1000);
      took.set(labels, outcome.durationSeconds);
      size.set(labels, outcome.sizeBytes);
      stored.set(labels, outcome.storedBytes);
      revision.set(labels, outcome.revision);
    },
    running(count) {
      const gaugeOfRuns = new Gauge({
        name: "etcd_backup_running",
        help: "Backups that run now.",
        registers: [],
        collect() {
          this.set(count());
        },
      });
      registry.registerMetric(gaugeOfRuns);
    },
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
