import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics } from "./metrics.ts";

const success = {
  completedAt: new Date("2026-08-20T12:00:00Z"),
  durationSeconds: 12.5,
  sizeBytes: 1000,
  storedBytes: 400,
  revision: 42,
};

/** The samples of the metrics of this program: `name{labels} value`. */
async function samples(metrics: ReturnType<typeof createMetrics>): Promise<string[]> {
  const text = await metrics.registry.metrics();
  return text.split("\n").filter((line) => line.startsWith("etcd_backup_"));
}

test("the newest success sets every gauge, and the end is counted", async () => {
  const metrics = createMetrics();
  metrics.latestBackup({ namespace: "ops", cluster: "prod" }, { success });
  metrics.backupEnded({ namespace: "ops", cluster: "prod" }, "succeeded");
  const labels = 'namespace="ops",cluster="prod"';
  const found = (await samples(metrics)).filter((line) => line.includes(labels));
  assert.deepEqual(found.toSorted(), [
    `etcd_backup_last_duration_seconds{${labels}} 12.5`,
    `etcd_backup_last_revision{${labels}} 42`,
    `etcd_backup_last_size_bytes{${labels}} 1000`,
    `etcd_backup_last_stored_bytes{${labels}} 400`,
    `etcd_backup_last_success_timestamp_seconds{${labels}} 1787227200`,
    `etcd_backup_total{${labels},result="succeeded"} 1`,
  ]);
});

test("a failure is counted and dated, and the gauges of the last success stay", async () => {
  const metrics = createMetrics();
  const who = { namespace: "ops", cluster: "prod" };
  metrics.latestBackup(who, { success, failedAt: new Date("2026-08-20T13:00:00Z") });
  metrics.backupEnded(who, "failed");
  const text = (await samples(metrics)).join("\n");
  assert.match(text, /^etcd_backup_total\{.*result="failed"\} 1$/m);
  assert.match(text, /^etcd_backup_last_failure_timestamp_seconds\{.*\} 1787230800$/m);
  assert.match(text, /^etcd_backup_last_success_timestamp_seconds\{.*\} 1787227200$/m);
});

test("clusters do not share series, and a cluster without EtcdBackups has none", async () => {
  const metrics = createMetrics();
  metrics.latestBackup({ namespace: "a", cluster: "x" }, { success });
  metrics.latestBackup({ namespace: "b", cluster: "x" }, { success: { ...success, revision: 7 } });
  const text = (await samples(metrics)).join("\n");
  assert.match(text, /etcd_backup_last_revision\{namespace="a",cluster="x"\} 42/);
  assert.match(text, /etcd_backup_last_revision\{namespace="b",cluster="x"\} 7/);
  metrics.latestBackup({ namespace: "a", cluster: "x" }, undefined);
  const left = (await samples(metrics)).join("\n");
  assert.doesNotMatch(left, /namespace="a"/);
  assert.match(left, /namespace="b"/);
});

test("a store is 1 or 0, and a removed store loses its series and no other", async () => {
  const metrics = createMetrics();
  const series = async () =>
    (await samples(metrics)).filter((line) => line.startsWith("etcd_backup_store_ready{"));
  metrics.storeReady({ namespace: "ops", store: "main" }, true);
  metrics.storeReady({ namespace: "ops", store: "other" }, false);
  assert.deepEqual(await series(), [
    'etcd_backup_store_ready{namespace="ops",store="main"} 1',
    'etcd_backup_store_ready{namespace="ops",store="other"} 0',
  ]);
  metrics.storeReady({ namespace: "ops", store: "main" }, undefined);
  assert.deepEqual(await series(), ['etcd_backup_store_ready{namespace="ops",store="other"} 0']);
  metrics.storeReady({ namespace: "ops", store: "never seen" }, undefined);
});

test("the verifications of a store have their series, which end with what is known of them", async () => {
  const metrics = createMetrics();
  const series = async () =>
    (await samples(metrics)).filter((line) => line.startsWith("etcd_backup_verification_"));
  const store = { namespace: "ops", store: "main" };
  metrics.verification(store, { failed: 2, succeededAt: new Date("2026-08-20T12:00:00Z") });
  assert.deepEqual(await series(), [
    'etcd_backup_verification_failed{namespace="ops",store="main"} 2',
    'etcd_backup_verification_last_success_timestamp_seconds{namespace="ops",store="main"} 1787227200',
  ]);
  metrics.verification(store, undefined);
  assert.deepEqual(await series(), []);
});

test("running backups are counted when the metrics are collected", async () => {
  const metrics = createMetrics();
  let running = 0;
  metrics.running(() => running);
  assert.ok((await samples(metrics)).includes("etcd_backup_running 0"));
  running = 2;
  assert.ok((await samples(metrics)).includes("etcd_backup_running 2"));
});

test("reconcile passes are counted by controller and result, with their durations", async () => {
  const metrics = createMetrics();
  metrics.reconciled("backup", "done", 0.01);
  metrics.reconciled("backup", "failed", 3);
  const text = (await samples(metrics)).join("\n");
  assert.match(text, /^etcd_backup_reconcile_total\{controller="backup",result="done"\} 1$/m);
  assert.match(text, /^etcd_backup_reconcile_total\{controller="backup",result="failed"\} 1$/m);
  assert.match(text, /^etcd_backup_reconcile_duration_seconds_count\{controller="backup"\} 2$/m);
  assert.match(text, /^etcd_backup_reconcile_duration_seconds_bucket\{le="2",controller="backup"\} 1$/m);
});

test("names follow the rules of Prometheus, each metric has a help text, and the process has metrics too", async () => {
  const metrics = createMetrics();
  metrics.running(() => 0);
  const described = await metrics.registry.getMetricsAsJSON();
  const own = described.filter(({ name }) => name.startsWith("etcd_backup_"));
  assert.ok(own.length >= 11, `${own.length}`);
  for (const { name, help, type } of own) {
    assert.match(name, /^[a-z_]+$/);
    assert.match(help, /\.$/, name);
    assert.equal(name.endsWith("_total"), String(type) === "counter", name);
  }
  assert.ok(described.some(({ name }) => name === "process_resident_memory_bytes"));
  // A second operator in the same process, as in tests, has its own registry.
  assert.notEqual(createMetrics().registry, metrics.registry);
});
