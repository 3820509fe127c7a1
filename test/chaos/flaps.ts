import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";

/** What no later status may take back, between two states of one EtcdBackup as a watch tells them. */
export function wentBack(before: EtcdBackup, after: EtcdBackup): string[] {
  const found: string[] = [];
  const conditions = (backup: EtcdBackup, type: string) =>
    backup.status.conditions?.find((condition) => condition.type === type);
  for (const old of before.status.conditions ?? []) {
    const now = conditions(after, old.type);
    const final = ["Finished", "Succeeded", "Ready"].includes(old.type) && isDecided(before);
    if (final && now?.status !== old.status)
      found.push(`${old.type} went from ${old.status} back to ${now?.status ?? "nothing"}`);
    if (now?.status === old.status && now.lastTransitionTime !== old.lastTransitionTime)
      found.push(`${old.type} stayed ${now.status} and changed its lastTransitionTime`);
  }
  const [was, is] = [before.status.attempts ?? 0, after.status.attempts ?? 0];
  const handedBack = is === was - 1 && conditions(after, "Succeeded")?.reason === "OperatorRestarted";
  if (is < was && !handedBack) found.push(`attempts went from ${was} to ${is}`);
  if (is > was + 1) found.push(`attempts went from ${was} to ${is}`);
  const artifact = before.status.artifact?.name;
  if (artifact !== undefined && artifact !== after.status.artifact?.name)
    found.push(`artifact went from ${artifact} to ${after.status.artifact?.name ?? "nothing"}`);
  return found.map(
    (text) => `${text}: ${JSON.stringify(before.status)} and then ${JSON.stringify(after.status)}`,
  );
}

function isDecided({ status }: EtcdBackup): boolean {
  return status.conditions?.find(({ type }) => type === "Finished")?.status === "True";
}
