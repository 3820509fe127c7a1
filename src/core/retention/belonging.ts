import { adoptUnknown } from "../../api/v1alpha1/retention.ts";
import { type Series, describeSeries, hasSameNames } from "../backup/series.ts";
import type { RetainableBackup } from "./retainable.ts";

/**
 * Why retention of `series` neither removes nor counts a backup, as texts for a table. Empty: the backup is subject to
 * it. `adoptFrom`: UID of another Kubernetes cluster whose backups of the same series count as own, or `adoptUnknown`.
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
  if (kubernetesCluster !== own.kubernetesCluster && adoptFrom !== (kubernetesCluster ?? adoptUnknown)) {
    const [which, value] =
      kubernetesCluster === undefined ? ["an unknown", adoptUnknown] : ["another", kubernetesCluster];
    return `of the same series in ${which} Kubernetes cluster: set retention.adoptFrom to ${value} to make it this one's`;
  }
  return generation === undefined ? "of another etcd cluster" : undefined;
}
