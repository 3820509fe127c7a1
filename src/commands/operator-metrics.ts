import type { EtcdBackup } from "../api/etcd-backup.ts";
import { conditionStatus } from "../core/conditions.ts";
import type { LatestBackup, Metrics } from "../telemetry/metrics.ts";

/**
 * Keeps the gauges of each cluster at what its EtcdBackups say: right after a restart, and gone with the last of them.
 * Returns what to call when an EtcdBackup of the cluster has changed.
 */
export function clusterGauges(metrics: Metrics, backups: () => EtcdBackup[]): (changed: EtcdBackup) => void {
  return ({ metadata: { namespace = "" }, spec: { clusterName } }) => {
    const ofCluster = backups().filter(
      (b) => b.spec.clusterName === clusterName && b.metadata.namespace === namespace,
    );
    metrics.latestBackup(
      { namespace, cluster: clusterName },
      ofCluster.length === 0 ? undefined : latestOf(ofCluster),
    );
  };
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
