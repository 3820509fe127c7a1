import { type Series, describeSeries, hasSameNames } from "../backup/series.ts";
import type { RetainableBackup } from "./retainable.ts";

/**
 * Why retention of `series` neither removes nor counts a backup, as texts for a table. Empty: the backup is subject to
 * it. `adoptFrom`: UID of another Kubernetes cluster whose backups of the same series count as own.
 */
export function whyLeftAlone(
  backup: RetainableBackup,
  { series, adoptFrom }: { series: Series; adoptFrom: string | undefined },
): string[] {
  const { problem } = backup;
  const foreign = whyForeign(backup, series, adoptFrom);
  return [
    ...(foreign === undefined ? [] : [foreign]),
    ...(problem === undefined ? [] : [`it does not verify: ${problem}; it is left in place`]),
  ];
}

function whyForeign(
  { series, generation, problem }: RetainableBackup,
  own: Series,
  adoptFrom: string | undefined,
): string | undefined {
  // A manifest that cannot be read does not name its series.
  if (series === undefined) return problem === undefined ? "made by hand" : undefined;
  if (!hasSameNames(series, own)) return `of another series: ${describeSeries(series)}`;
  const { kubernetesCluster } = series;
  const isAdopted = adoptFrom !== undefined && kubernetesCluster === adoptFrom;
  if (kubernetesCluster !== own.kubernetesCluster && !isAdopted)
    return kubernetesCluster === undefined
      ? "of the same series in an unknown Kubernetes cluster"
      : `of the same series in another Kubernetes cluster: set retention.adoptFrom to ${kubernetesCluster} to make it this one's`;
  return generation === undefined ? "of another etcd cluster" : undefined;
}
