import { OperatorError } from "../errors.ts";

/**
 * The series that a backup belongs to: retention removes a backup only as one of its own series. A series of a command
 * line has only a name, given by `save --series`. That of an EtcdBackupSchedule has the schedule's name and namespace, and
 * the UID of the namespace kube-system: so two Kubernetes clusters with the same names have two series.
 */
export interface Series {
  name: string;
  namespace?: string;
  kubernetesCluster?: string;
}

/** `kubernetesCluster`: undefined where the operator may not read the UID. */
export function seriesOfSchedule(
  name: string,
  namespace: string | undefined,
  kubernetesCluster: string | undefined,
): Series {
  return {
    name,
    namespace: namespace ?? "",
    ...(kubernetesCluster === undefined ? {} : { kubernetesCluster }),
  };
}

/** A restored copy of a Kubernetes cluster has the same UID of kube-system. Beside its original it may not delete. */
export function isSameSeries(a: Series, b: Series): boolean {
  return hasSameNames(a, b) && a.kubernetesCluster === b.kubernetesCluster;
}

/** Whether the two would be one series if their Kubernetes clusters were one. */
export function hasSameNames(a: Series, b: Series): boolean {
  return a.name === b.name && a.namespace === b.namespace;
}

/** `name` for a series of a command line, `namespace/name` for that of an EtcdBackupSchedule. */
export function describeSeries({ name, namespace }: Series): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Returns the name of a command line's series, or throws Usage. */
export function checkSeriesName(name: string): string {
  if (/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(name)) return name;
  throw new OperatorError("Usage", `series name ${JSON.stringify(name)} is not valid`, {
    hint: "use 1 to 63 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit",
  });
}
