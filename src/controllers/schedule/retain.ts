import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupScheduleStatus } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { removeBackup } from "../../backup/catalog/remove.ts";
import type { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import { checkMayDelete } from "../../backup/folder.ts";
import { type Series, seriesOfSchedule } from "../../core/backup/series.ts";
import { OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import type { RetentionPlan } from "../../core/retention/plan.ts";
import type { RetainableBackup } from "../../core/retention/retainable.ts";
import { nextStart } from "../../core/schedule/decide.ts";
import {
  blockedFields,
  newestSuccess,
  planOf,
  retainedFields,
  retentionDue,
  retryRemovalMs,
  whyNoPlan,
} from "../../core/schedule/retention.ts";
import type { ScheduleReport } from "../../core/schedule/status.ts";
import { writerOfStore } from "../store/writer.ts";
import type { ScheduleContext } from "./context.ts";

/** Stored backups that one pass removes at most. */
const removalsAPass = 20;
/** Milliseconds until the next look for a listing of the store. */
const listingEveryMs = 15_000;
/** Milliseconds until the next plan after one that the store did not allow. */
const retryPlanMs = 60_000;

/** What retention did in a pass: fields for the status, and when to pass again. */
export interface Retained {
  fields: Partial<EtcdBackupScheduleStatus>;
  againAfterMs?: number;
}

interface Retaining {
  context: ScheduleContext;
  store: EtcdBackupStore;
  catalog: StoreCatalog;
  series: Series;
}

/**
 * Carries retention out after a success, and tells what it will do next. It plans by the last complete listing of the
 * store; a listing that failed shows nothing, and then nothing is removed.
 */
export async function retain(
  context: ScheduleContext,
  observed: ScheduleReport,
  store: EtcdBackupStore | undefined,
): Promise<Retained> {
  const { schedule, catalogs, now, signal } = context;
  const newest = newestSuccess(observed.children);
  const due = retentionDue(schedule, newest, now());
  if (due === "nothing" || newest === undefined || store === undefined) return { fields: {} };
  if (due === "carryOut" && !observed.canStore) return { fields: {} };
  const catalog = catalogs.find(store);
  const madeAt = Date.parse(newest.status.completionTime ?? "");
  const name = newest.status.artifact?.name ?? "";
  const { clusterName } = schedule.spec.template.spec;
  // A backup of this process is in the catalog at once, that of another one with the next listing.
  const isListed =
    catalog?.listedAt !== undefined &&
    (catalog.listedAt.getTime() > madeAt || catalog.has(clusterName, name));
  if (catalog === undefined || !isListed) return { fields: {}, againAfterMs: listingEveryMs };
  try {
    return await plan({ context, store, catalog, series: await seriesOf(context) }, observed, {
      due,
      newest,
    });
  } catch (error) {
    signal.throwIfAborted();
    const message = `no plan can be made: ${withHint(asOperatorError(error))}`;
    return { fields: blockedFields(schedule, message, now()), againAfterMs: retryPlanMs };
  }
}

/** Makes the plan, carries it out where that is due, and says what remains. */
async function plan(
  retaining: Retaining,
  observed: ScheduleReport,
  { due, newest }: { due: "carryOut" | "show"; newest: EtcdBackup },
): Promise<Retained> {
  const { context, catalog, series } = retaining;
  const { schedule, now, signal } = context;
  const backups = await catalog.folder(schedule.spec.template.spec.clusterName, signal);
  const done =
    due === "carryOut"
      ? await carryOut(retaining, backups, newest)
      : { removed: new Set<string>(), blocked: undefined, isWhole: true };
  const fields = retainedFields(
    schedule,
    {
      backups: backups.filter((backup) => !done.removed.has(backup.name)),
      series,
      next: nextStart(observed),
      after: due === "carryOut" && done.isWhole ? newest.metadata.name : schedule.status.retention?.after,
      removed: done.removed.size,
      blocked: done.blocked,
    },
    now(),
  );
  const againAfterMs = done.isWhole ? (done.blocked === undefined ? undefined : retryRemovalMs) : 0;
  return { fields, ...(againAfterMs === undefined ? {} : { againAfterMs }) };
}

async function seriesOf({ schedule, kubernetesCluster, signal }: ScheduleContext): Promise<Series> {
  const { name, namespace } = schedule.metadata;
  return seriesOfSchedule(name, namespace, await kubernetesCluster(signal));
}

interface CarriedOut {
  removed: Set<string>;
  /** Why a backup that the plan removes is still there. */
  blocked: string | undefined;
  /** Nothing is left to be tried in this round. */
  isWhole: boolean;
}

async function carryOut(
  retaining: Retaining,
  backups: readonly RetainableBackup[],
  newest: EtcdBackup,
): Promise<CarriedOut> {
  const { context, series } = retaining;
  const refusal = whyNoPlan(newest, backups);
  if (refusal !== undefined) return { removed: new Set(), blocked: refusal, isWhole: true };
  const { removed } = planOf(context.schedule, { backups, series, next: undefined });
  const name = newest.status.artifact?.name;
  if (removed.some(({ backup }) => backup.name === name)) {
    const why = `the plan would remove ${name}, which has just succeeded: the folder holds backups of this schedule with higher revisions, perhaps of another etcd cluster with the same ID (see etcd-backup list and claim show)`;
    return { removed: new Set(), blocked: why, isWhole: true };
  }
  const oldestFirst = removed.toReversed();
  const outcome = await removeAll(retaining, oldestFirst.slice(0, removalsAPass), newest);
  const isWhole = outcome.blocked !== undefined || oldestFirst.length <= removalsAPass;
  return { ...outcome, isWhole };
}

/** Removes stored backups. One under object lock does not keep the others; any other failure ends the round. */
async function removeAll(
  retaining: Retaining,
  planned: RetentionPlan["removed"],
  newest: EtcdBackup,
): Promise<Omit<CarriedOut, "isWhole">> {
  const { context, store } = retaining;
  const { signal, openStore, events } = context;
  const removed = new Set<string>();
  let blocked: string | undefined;
  if (planned.length === 0) return { removed, blocked };
  try {
    await using opened = await openStore(store, signal);
    const { artifact } = newest.status;
    const clusterName = context.schedule.spec.template.spec.clusterName;
    if (
      artifact === undefined ||
      (await opened.head(`${clusterName}/${artifact.name}.json`, { signal })) === undefined
    )
      return { removed, blocked: `the store does not hold ${artifact?.name}, the newest backup, any more` };
    for (const { backup, reason } of planned) {
      try {
        await removeOne(retaining, opened, backup.name);
        removed.add(backup.name);
        events.normal("BackupRemoved", `${backup.name}: ${reason}`);
      } catch (error) {
        blocked ??= `${backup.name} cannot be removed: ${withHint(asOperatorError(error))}`;
        if (!(error instanceof OperatorError && error.code === "Refused")) break;
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    blocked ??= withHint(asOperatorError(error));
  }
  if (blocked !== undefined) events.warning("RemovalBlocked", blocked);
  return { removed, blocked };
}

/** The stored backup first, then its EtcdBackup, whose record it is. */
async function removeOne(
  { context, store, catalog }: Retaining,
  opened: Awaited<ReturnType<ScheduleContext["openStore"]>>,
  name: string,
): Promise<void> {
  const { schedule, resources, writers, childrenOf, key, signal } = context;
  const { clusterName } = schedule.spec.template.spec;
  const { namespace = "", name: storeName } = store.metadata;
  const writer = writerOfStore({ namespace, name: storeName }, { resources, writers });
  await checkMayDelete({ store: opened, clusterName, writer }, signal, `${clusterName}/${name}.json`);
  await removeBackup(opened, { clusterName, name, signal });
  catalog.noteRemoved(clusterName, name);
  for (const child of childrenOf(key))
    if (child.status.artifact?.name === name) await resources.removeBackup(child, signal);
}
