import type { CustomObject } from "./client.ts";

/** The status that kstatus (cli-utils/pkg/kstatus/status) computes of a custom resource. Flux and `helm --wait` use it. */
export function kstatus({
  metadata,
  status,
}: CustomObject): "InProgress" | "Terminating" | "Failed" | "Current" {
  const is = (type: string, value: string) =>
    status?.conditions?.some((condition) => condition.type === type && condition.status === value) ?? false;
  if (metadata.deletionTimestamp !== undefined) return "Terminating";
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation)
    return "InProgress";
  if (is("Stalled", "True")) return "Failed";
  if (is("Reconciling", "True") || is("Ready", "False") || is("Ready", "Unknown")) return "InProgress";
  return "Current";
}
