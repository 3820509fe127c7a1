import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupScheduleStatus } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import { seriesOfSchedule } from "../../core/backup/series.ts";
import { asOperatorError, withHint } from "../../core/errors.ts";
import { nextStart } from "../../core/schedule/decide.ts";
import { backupsInUse } from "../../core/schedule/in-use.ts";
import {
  blockedFields,
  newestSuccess,
  planOf,
  recordsOfGone,
  retainedFields,
  retentionDue,
  retryAfterMs,
  retryRemovalMs,
  whyNothingRemoved,
} from "../../core/schedule/retention.ts";
import type { ScheduleReport } from "../../core/schedule/status.ts";
import type { ScheduleContext } from "./context.ts";
import { removeBackups, removeRecords } from "./remove.ts";

/** Stored backups that one pass removes at most, and EtcdBackups of those that are gone. */
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
  observed: ScheduleReport;
  store: EtcdBackupStore;
  catalog: StoreCatalog;
  /** The EtcdBackup that succeeded last. */
  newest: EtcdBackup;
}

/**
 * Carries retention out after a success, and tells what it will do next. It plans by the last complete listing of the
 * store, and removes by one of that moment; a listing that failed shows nothing, and then nothing is removed.
 */
export async function retain(
  context: ScheduleContext,
  observed: ScheduleReport,
  store: EtcdBackupStore | undefined,
): Promise<Retained> {
  const { schedule, catalogs, now, signal } = context;
  const newest = newestSuccess(observed.children);
  if (newest === undefined) return { fields: {} };
  const due = retentionDue(schedule, newest, now());
  const againAfterMs = retryAfterMs(schedule, now());
  const nothing = { fields: {}, ...(againAfterMs === undefined ? {} : { againAfterMs }) };
  if (due === "nothing") return nothing;
  if (store === undefined || (due === "carryOut" && !observed.canStore)) return { fields: {} };
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
    const retaining = { context, observed, store, catalog, newest };
    if (due === "carryOut") return await carryOut(retaining);
    const fields = retainedFields(schedule, { ...(await planned(retaining)), ...afterOf(schedule) }, now());
    return { ...nothing, fields };
  } catch (error) {
    signal.throwIfAborted();
    const message = `no plan can be made: ${withHint(asOperatorError(error))}`;
    return { fields: blockedFields(schedule, message, now()), againAfterMs: retryPlanMs };
  }
}

function afterOf({ status }: ScheduleContext["schedule"]): { after?: string } {
  return status.retention?.after === undefined ? {} : { after: status.retention.after };
}

/** The plan over what the catalog lists. */
async function planned({ context, observed, catalog, newest }: Omit<Retaining, "store">) {
  const { schedule, restores, kubernetesCluster, signal } = context;
  const { name, namespace } = schedule.metadata;
  const listed = await catalog.folder(schedule.spec.template.spec.clusterName, signal);
  const inUse = backupsInUse(restores(), { newest, children: observed.children });
  const backups = listed.map((backup) => ({ ...backup, inUse: inUse.get(backup.name) }));
  const series = seriesOfSchedule(name, namespace, await kubernetesCluster(signal));
  const input = { backups, series, next: nextStart(observed) };
  return { ...input, plan: planOf(schedule, input) };
}

type Planned = Awaited<ReturnType<typeof planned>>;

/** Removes what the plan says, and the EtcdBackups of what is gone from the store. */
async function carryOut(retaining: Retaining): Promise<Retained> {
  const { context, observed, newest } = retaining;
  const { schedule, now } = context;
  const listed = await planned(retaining);
  const refusal = whyNothingRemoved(newest, listed);
  const isAtRest =
    listed.plan.removed.length === 0 && recordsOfGone(observed.children, newest, listed.backups).length === 0;
  const { by, isWhole, ...done } =
    refusal !== undefined || isAtRest
      ? { by: listed, removed: new Set<string>(), blocked: refusal, isWhole: true }
      : await removeBy(retaining, listed);
  const after = isWhole ? { after: newest.metadata.name } : afterOf(schedule);
  const fields = retainedFields(schedule, { ...by, ...after, done }, now());
  if (!isWhole) return { fields, againAfterMs: 0 };
  return { fields, ...(done.blocked === undefined ? {} : { againAfterMs: retryRemovalMs }) };
}

interface Removed {
  /** The plan by a listing of that moment. */
  by: Planned;
  removed: Set<string>;
  blocked: string | undefined;
  /** Nothing is left to be tried in this round. */
  isWhole: boolean;
}

/**
 * Lists the folder anew and plans by that: a backup may have gone or been damaged since `listed`, and another one be needed
 * in its place.
 */
async function removeBy(
  { context, observed, store, catalog, newest }: Retaining,
  listed: Planned,
): Promise<Removed> {
  const { schedule, openStore, signal } = context;
  await using opened = await openStore(store, signal);
  await catalog.refreshFolder(opened, schedule.spec.template.spec.clusterName, signal);
  const by = await planned({ context, observed, catalog, newest });
  const refusal = whyNothingRemoved(newest, by);
  if (refusal !== undefined) return { by, removed: new Set(), blocked: refusal, isWhole: true };
  const due = by.plan.removed.toReversed();
  const { removed, blocked } = await removeBackups(
    context,
    { store, opened, catalog },
    due.slice(0, removalsAPass),
  );
  // One listing does not prove that a backup is gone.
  const present = [...listed.backups, ...by.backups].filter(({ name }) => !removed.has(name));
  const gone = recordsOfGone(observed.children, newest, present);
  const refused = await removeRecords(context, gone.slice(0, removalsAPass));
  const isMore = due.length > removalsAPass || gone.length > removalsAPass;
  return { by, removed, blocked: blocked ?? refused, isWhole: (blocked ?? refused) !== undefined || !isMore };
}
