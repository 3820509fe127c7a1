import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { conditionStatus, isFinished } from "../../core/conditions.ts";
import { scheduleOf } from "../../core/schedule/child.ts";
import { jitterMs } from "../../core/schedule/jitter.ts";
import { jitterLimitMs } from "../../core/schedule/decide.ts";
import { parseSchedule } from "../../core/schedule/schedule.ts";
import type { ScheduleReport, StoreState } from "../../core/schedule/status.ts";
import type { ScheduleContext } from "./context.ts";

/** What a pass sees of the schedule. The EtcdBackup that the status calls active is read, since the watch may be behind. */
export async function observe(
  context: ScheduleContext,
  store: EtcdBackupStore | undefined,
): Promise<ScheduleReport> {
  const { schedule, childrenOf, key, now } = context;
  const { spec, metadata } = schedule;
  const parsed = parseSchedule(spec.schedule, spec.timeZone);
  const watched = childrenOf(key);
  const named = await activeByStatus(context);
  const children =
    named === undefined
      ? watched
      : [...watched.filter(({ metadata: { uid } }) => uid !== named.metadata.uid), named];
  const state = storeState(spec.template.spec.storeRef.name, store);
  return {
    schedule,
    times: parsed.is === "schedule" ? parsed.schedule : undefined,
    problem: parsed.is === "schedule" ? undefined : `${parsed.problem}: ${parsed.hint}`,
    delayMs: jitterMs(metadata.uid, jitterLimitMs(spec.jitter)),
    store: state,
    canStore: state.is !== "unusable",
    children,
    // The run of an EtcdBackup that is being deleted is cancelled. Its deletion may wait for a store for long.
    active: children.find((backup) => !isFinished(backup) && backup.metadata.deletionTimestamp === undefined),
    now: now(),
  };
}

/** The EtcdBackup that the status names as active, or the one that was active and has ended. */
async function activeByStatus({
  schedule,
  resources,
  signal,
}: ScheduleContext): Promise<EtcdBackup | undefined> {
  const { active } = schedule.status;
  const { namespace = "", name } = schedule.metadata;
  if (active === undefined) return undefined;
  const backup = await resources.backup({ namespace, name: active }, signal);
  // A stranger may have taken the name of one that was deleted.
  return backup !== undefined && scheduleOf(backup) === name ? backup : undefined;
}

function storeState(name: string, store: EtcdBackupStore | undefined): StoreState {
  if (store === undefined)
    return { is: "unusable", message: `EtcdBackupStore ${name} does not exist: create it in this namespace` };
  if (store.metadata.deletionTimestamp !== undefined)
    return { is: "unusable", message: `EtcdBackupStore ${name} is being deleted` };
  if (store.spec.accessMode === "ReadOnly")
    return {
      is: "unusable",
      message: `EtcdBackupStore ${name} is ReadOnly: set spec.accessMode to ReadWrite to go on with backups`,
    };
  if (conditionStatus(store.status.conditions, "Ready") !== "False") return { is: "ready" };
  const { message = "" } = store.status.conditions?.find(({ type }) => type === "Ready") ?? {};
  return { is: "failing", message: `EtcdBackupStore ${name} is not ready: ${message}` };
}
