import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { TurnState } from "../run-view.ts";
import type { BackupReport } from "./observed.ts";

/**
 * The etcd of an EtcdBackup as its spec names it, for the order of the EtcdBackups of one etcd. Equal keys lead to the
 * same members. Undefined for an imported backup, which reads no member. Different keys may do so as well: the turns of `backup/turn.ts` then keep the attempts apart.
 */
export function turnKeyOf({ metadata, spec }: Pick<EtcdBackup, "metadata" | "spec">): string | undefined {
  if (spec.etcd === undefined) return undefined;
  const { endpoints = [], service, podSelector } = spec.etcd;
  const own = metadata.namespace ?? "default";
  if (service !== undefined)
    return JSON.stringify(["service", service.namespace ?? own, service.name, service.port, service.scheme]);
  if (podSelector !== undefined) {
    const { namespace = own, matchLabels, port, scheme } = podSelector;
    const labels = Object.entries(matchLabels).toSorted(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify(["pods", namespace, labels, port, scheme]);
  }
  return JSON.stringify(["endpoints", endpoints.toSorted()]);
}

/**
 * Where an attempt is with its turn. It has chosen a member only in its turn, and after the last byte it needs the
 * members no more.
 */
export function turnStateOf({ choice, progress }: BackupReport): TurnState {
  if (choice === undefined) return "waits";
  return progress !== undefined && progress.bytes >= progress.totalBytes ? "over" : "held";
}
