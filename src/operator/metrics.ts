import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import { conditionStatus } from "../core/conditions.ts";
import { requestOf } from "../controllers/reconciler.ts";
import type { LatestBackup, Metrics } from "../telemetry/metrics.ts";
import type { Informers } from "./informers.ts";

/**
 * Sets the gauges from the resources, so they are correct after a restart and equal in every replica. A series ends
 * with its last resource.
 */
export function followResources(metrics: Metrics, { backups, stores }: Informers): void {
  const known = new Map<string, EtcdBackup>();
  backups.onChange((key, backup) => {
    const changed = backup ?? known.get(key);
    if (changed !== undefined) setClusterGauges(metrics, changed, backups.list());
    if (backup === undefined) known.delete(key);
    else known.set(key, backup);
  });
  stores.onChange((key, store) => {
    const { namespace, name } = requestOf(key);
    const ready =
      store === undefined ? undefined : conditionStatus(store.status.conditions, "Ready") === "True";
    metrics.storeReady({ namespace, store: name }, ready);
  });
}

function setClusterGauges(
  metrics: Metrics,
  { metadata: { namespace = "" }, spec: { clusterName } }: EtcdBackup,
  backups: readonly EtcdBackup[],
): void {
  const ofCluster = backups.filter(
    (b) => b.spec.clusterName === clusterName && b.metadata.namespace === namespace,
  );
  const labels = { namespace, cluster: clusterName };
  metrics.latestBackup(labels, ofCluster.length === 0 ? undefined : latestOf(ofCluster));
}

function latestOf(backups: readonly EtcdBackup[]): LatestBackup {
  const success = newest(backups, "True");
  const failure = newest(backups, "False");
  const { snapshot, artifact } = success?.status ?? {};
  return {
    ...(failure === undefined ? {} : { failedAt: failure.at }),
    ...(success === undefined || snapshot === undefined || artifact === undefined
      ? {}
      : {
          success: {
            completedAt: success.at,
            durationSeconds: (success.at.getTime() - Date.parse(success.status.startTime ?? "")) / 1000 || 0,
            sizeBytes: snapshot.totalSizeBytes,
            storedBytes: artifact.storedBytes,
            revision: snapshot.revision,
          },
        }),
  };
}

function newest(backups: readonly EtcdBackup[], succeeded: "True" | "False") {
  const ended = backups.flatMap(({ status }) =>
    conditionStatus(status.conditions, "Succeeded") === succeeded && status.completionTime !== undefined
      ? [{ at: new Date(status.completionTime), status }]
      : [],
  );
  return ended.toSorted((a, b) => b.at.getTime() - a.at.getTime())[0];
}
