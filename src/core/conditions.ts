import type { Condition } from "../api/v1alpha1/conditions.ts";

export type Outcome = "InProgress" | "Succeeded" | "Failed";

interface Stamp {
  generation: number;
  now: Date;
}

/** A new list in which `condition` replaces the one of its type. lastTransitionTime changes only with the status. */
export function setCondition(
  conditions: readonly Condition[],
  condition: Pick<Condition, "type" | "status" | "reason" | "message">,
  { generation, now }: Stamp,
): Condition[] {
  const previous = conditions.find((c) => c.type === condition.type);
  const lastTransitionTime =
    previous?.status === condition.status ? previous.lastTransitionTime : wholeSeconds(now);
  const next = {
    ...condition,
    message: condition.message.slice(0, 32_768),
    observedGeneration: generation,
    lastTransitionTime,
  };
  return previous === undefined ? [...conditions, next] : conditions.map((c) => (c === previous ? next : c));
}

/**
 * The conditions of a run that ends once. kstatus reads Stalled as failure. Finished becomes True on either outcome, so
 * one `kubectl wait` covers both. Ready equals Succeeded, for tools that read only Ready.
 */
export function runConditions(
  conditions: readonly Condition[],
  outcome: Outcome,
  { reason, message }: { reason: string; message: string },
  stamp: Stamp,
): Condition[] {
  const succeeded = ({ InProgress: "Unknown", Succeeded: "True", Failed: "False" } as const)[outcome];
  const statuses: Record<string, Condition["status"]> = {
    Finished: outcome === "InProgress" ? "False" : "True",
    Succeeded: succeeded,
    Ready: succeeded,
    Reconciling: outcome === "InProgress" ? "True" : "False",
    Stalled: outcome === "Failed" ? "True" : "False",
  };
  return Object.entries(statuses).reduce<Condition[]>(
    (list, [type, status]) => setCondition(list, { type, status, reason, message }, stamp),
    [...conditions],
  );
}

export function conditionStatus(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition["status"] | undefined {
  return conditions?.find((c) => c.type === type)?.status;
}

/** Whether the run of an EtcdBackup or EtcdRestore has ended, in success or failure. */
export function isFinished({ status }: { status: { conditions?: readonly Condition[] } }): boolean {
  return conditionStatus(status.conditions, "Finished") === "True";
}

/** The time in RFC 3339, cut to whole seconds as metav1.Time is. */
export function wholeSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
