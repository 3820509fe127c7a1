import { apiVersion } from "../../src/api/schema/resource.ts";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";

type Condition = NonNullable<EtcdBackup["status"]["conditions"]>[number];

/** A manifest of one of the operator's kinds. */
export function resourceObject(
  kind: "EtcdBackup" | "EtcdBackupSchedule" | "EtcdBackupStore" | "EtcdRestore",
  name: string,
  spec: object,
  namespace = "default",
): object {
  return { apiVersion, kind, metadata: { name, namespace }, spec };
}

export function secret(name: string, stringData: Record<string, string>, namespace = "default"): object {
  return { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, stringData };
}

interface Conditioned {
  status: { conditions?: Condition[] };
}

export function conditionOf({ status }: Conditioned, type: string): Condition | undefined {
  return status.conditions?.find((condition) => condition.type === type);
}

/** Every condition's status by type. */
export function statusesOf({ status }: Conditioned): Record<string, string> {
  return Object.fromEntries((status.conditions ?? []).map(({ type, status: value }) => [type, value]));
}
