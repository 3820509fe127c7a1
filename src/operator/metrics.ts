import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { conditionStatus } from "../core/conditions.ts";
import { NewestFirst } from "../core/newest-first.ts";
import { keyOf, requestOf } from "../controllers/reconciler.ts";
import type { LatestBackup, Metrics, VerificationState } from "../telemetry/metrics.ts";
import type { Informers } from "./informers.ts";

type Status = EtcdBackup["status"];

/** The ended backups of one cluster in one namespace, and the keys of all of its EtcdBackups. */
interface ClusterBackups {
  labels: { namespace: string; cluster: string };
  keys: Set<string>;
  succeeded: NewestFirst<Status>;
  failed: NewestFirst<Status>;
}

/**
 * Sets the gauges from the resources, so they are correct after a restart and equal in every replica. A series ends
 * with its last resource. The change of one EtcdBackup costs O(log n) in the number of backups of its cluster.
 */
export function followResources(
  metrics: Pick<Metrics, "latestBackup" | "storeReady" | "verification">,
  { backups, stores }: Pick<Informers, "backups" | "stores">,
): void {
  const clusters = new Map<string, ClusterBackups>();
  /** The cluster of each EtcdBackup. A name may be used again for a backup of another cluster. */
  const clusterOf = new Map<string, string>();

  function remove(key: string, clusterKey: string): void {
    const cluster = clusters.get(clusterKey);
    if (cluster === undefined) return;
    clusterOf.delete(key);
    cluster.keys.delete(key);
    cluster.succeeded.delete(key);
    cluster.failed.delete(key);
    if (cluster.keys.size === 0) clusters.delete(clusterKey);
    setGauges(metrics, cluster);
  }

  backups.onChange((key, backup) => {
    const before = clusterOf.get(key);
    const clusterKey = backup === undefined ? undefined : clusterKeyOf(backup);
    if (before !== undefined && before !== clusterKey) remove(key, before);
    if (backup === undefined || clusterKey === undefined) return;
    let cluster = clusters.get(clusterKey);
    if (cluster === undefined) {
      cluster = newCluster(backup);
      clusters.set(clusterKey, cluster);
    }
    clusterOf.set(key, clusterKey);
    cluster.keys.add(key);
    setEnd(cluster.succeeded, key, backup, "True");
    // A failed import says nothing about the backups of the cluster.
    if (backup.spec.imported === undefined) setEnd(cluster.failed, key, backup, "False");
    setGauges(metrics, cluster);
  });
  stores.onChange((key, store) => {
    const { namespace, name } = requestOf(key);
    const ready =
      store === undefined ? undefined : conditionStatus(store.status.conditions, "Ready") === "True";
    metrics.storeReady({ namespace, store: name }, ready);
    metrics.verification({ namespace, store: name }, verificationOf(store));
  });
}

function verificationOf(store: EtcdBackupStore | undefined): VerificationState | undefined {
  const { verification } = store?.status ?? {};
  if (verification === undefined) return undefined;
  const { failed, lastSuccessfulTime } = verification;
  const at = Date.parse(lastSuccessfulTime ?? "");
  return { failed, ...(Number.isNaN(at) ? {} : { succeededAt: new Date(at) }) };
}

function clusterKeyOf({ metadata: { namespace = "" }, spec }: EtcdBackup): string {
  return keyOf({ namespace, name: spec.clusterName });
}

function newCluster({ metadata: { namespace = "" }, spec }: EtcdBackup): ClusterBackups {
  return {
    labels: { namespace, cluster: spec.clusterName },
    keys: new Set(),
    succeeded: new NewestFirst(),
    failed: new NewestFirst(),
  };
}

function setEnd(
  ends: NewestFirst<Status>,
  key: string,
  { status }: EtcdBackup,
  succeeded: "True" | "False",
): void {
  const at = status.completionTime === undefined ? Number.NaN : Date.parse(status.completionTime);
  // The API server accepts date-times that Date.parse does not.
  if (conditionStatus(status.conditions, "Succeeded") === succeeded && !Number.isNaN(at))
    ends.set(key, at, status);
  else ends.delete(key);
}

function setGauges(metrics: Pick<Metrics, "latestBackup">, cluster: ClusterBackups): void {
  metrics.latestBackup(cluster.labels, cluster.keys.size === 0 ? undefined : latestOf(cluster));
}

function latestOf({ succeeded, failed }: ClusterBackups): LatestBackup {
  const success = succeeded.newest();
  const failure = failed.newest();
  const { snapshot, artifact, startTime = "" } = success?.value ?? {};
  return {
    ...(failure === undefined ? {} : { failedAt: new Date(failure.at) }),
    ...(success === undefined || snapshot === undefined || artifact === undefined
      ? {}
      : {
          success: {
            completedAt: new Date(success.at),
            durationSeconds: (success.at - Date.parse(startTime)) / 1000 || 0,
            sizeBytes: snapshot.totalSizeBytes,
            storedBytes: artifact.storedBytes,
            revision: snapshot.revision,
          },
        }),
  };
}
