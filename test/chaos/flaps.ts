import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";

/** Changes between two states of one EtcdBackup that must never happen, such as a final condition that changes. */
export function flapsBetween(before: EtcdBackup, after: EtcdBackup): string[] {
  const flaps: string[] = [];
  const conditions = (backup: EtcdBackup, type: string) =>
    backup.status.conditions?.find((condition) => condition.type === type);
  for (const old of before.status.conditions ?? []) {
    const now = conditions(after, old.type);
    const final = ["Finished", "Succeeded", "Ready"].includes(old.type) && isDecided(before);
    if (final && now?.status !== old.status)
      flaps.push(`${old.type} went from ${old.status} back to ${now?.status ?? "nothing"}`);
    if (now?.status === old.status && now.lastTransitionTime !== old.lastTransitionTime)
      flaps.push(`${old.type} stayed ${now.status} and changed its lastTransitionTime`);
  }
  const [attemptsBefore, attemptsAfter] = [before.status.attempts ?? 0, after.status.attempts ?? 0];
  const change = `attempts went from ${attemptsBefore} to ${attemptsAfter}`;
  const handedBack =
    attemptsAfter === attemptsBefore - 1 && conditions(after, "Succeeded")?.reason === "OperatorRestarted";
  if (attemptsAfter < attemptsBefore && !handedBack) flaps.push(change);
  if (attemptsAfter > attemptsBefore + 1) flaps.push(change);
  const artifact = before.status.artifact?.name;
  if (artifact !== undefined && artifact !== after.status.artifact?.name)
    flaps.push(`artifact went from ${artifact} to ${after.status.artifact?.name ?? "nothing"}`);
  return flaps.map(
    (text) => `${text}: ${JSON.stringify(before.status)} and then ${JSON.stringify(after.status)}`,
  );
}

function isDecided({ status }: EtcdBackup): boolean {
  return status.conditions?.find(({ type }) => type === "Finished")?.status === "True";
}
