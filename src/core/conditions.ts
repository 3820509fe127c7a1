/** metav1.Condition. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  observedGeneration: number;
  lastTransitionTime: string;
  reason: string;
  message: string;
}

export type Outcome = "InProgress" | "Succeeded" | "Failed";

interface Stamp {
  generation: number;
  now: Date;
}

/** A new list with this condition in it. The transition time moves only when the status does. */
export function setCondition(
  conditions: readonly Condition[],
  condition: Pick<Condition, "type" | "status" | "reason" | "message">,
  { generation, now }: Stamp,
): Condition[] {
  const before = conditions.find((c) => c.type === condition.type);
  const lastTransitionTime =
    before?.status === condition.status ? before.lastTransitionTime : wholeSeconds(now);
  const next = {
    ...condition,
    message: condition.message.slice(0, 32_768),
    observedGeneration: generation,
    lastTransitionTime,
  };
  return before === undefined ? [...conditions, next] : conditions.map((c) => (c === before ? next : c));
}

/**
 * The conditions of something that runs once and ends. Stalled is what kstatus takes for failure; Finished lets one
 * `kubectl wait` end on either outcome; Ready mirrors Succeeded for tools that know no other name.
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

/** RFC 3339 in whole seconds, as metav1.Time. */
export function wholeSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
