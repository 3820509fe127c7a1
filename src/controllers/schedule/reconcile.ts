import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { ScheduleEvent } from "../../api/v1alpha1/events.ts";
import type { EtcdBackupSchedule } from "../../api/v1alpha1/etcd-backup-schedule.ts";
import {
  type ScheduleDecision,
  type PassReason,
  decideSchedule,
  wakeAfterMs,
} from "../../core/schedule/decide.ts";
import { type Cause, childName, childOf, scheduleOf } from "../../core/schedule/child.ts";
import { beyondHistory } from "../../core/schedule/history.ts";
import { newestSuccess } from "../../core/schedule/retention.ts";
import {
  type ScheduleReport,
  adoptionRefused,
  created,
  creationFailed,
  passedOver,
  reported,
} from "../../core/schedule/status.ts";
import { isFinished, wholeSeconds } from "../../core/conditions.ts";
import { type OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { eventsOf } from "../events.ts";
import { type Reconcile, type Result, keyOf } from "../reconciler.ts";
import { type ScheduleContext, type ScheduleControllerDeps, writeScheduleStatus } from "./context.ts";
import { observe } from "./observe.ts";
import { retain } from "./retain.ts";

/** Records that one pass deletes at most. */
const recordsAPass = 20;

/** Milliseconds until the next attempt to create an EtcdBackup that the API server refused. */
const retryCreationMs = 30_000;
/** Milliseconds after a time in which an API server that does not answer is only tried again. */
const blipMs = 60_000;

/** setTimeout takes no more than 24 days. */
const longestWaitMs = 24 * 3_600_000;

/** Reconciles one EtcdBackupSchedule: observe → decide → act. One pass does one thing, and the next one follows at once. */
export function scheduleReconciler(deps: ScheduleControllerDeps): Reconcile {
  return async (request, signal) => {
    const schedule = await deps.resources.schedule(request, signal);
    if (schedule === undefined || schedule.metadata.deletionTimestamp !== undefined) {
      deps.holds.keep("EtcdBackupSchedule", request);
      return undefined;
    }
    const { storeRef } = schedule.spec.template.spec;
    const read = await deps.resources.store({ namespace: request.namespace, name: storeRef.name }, signal);
    const held = read === undefined ? undefined : await deps.holds.hold(read, signal);
    if (held?.is === "foreign") {
      deps.holds.leave(schedule, held.holder);
      return { againAfterMs: held.againAfterMs };
    }
    deps.holds.keep("EtcdBackupSchedule", request);
    const events = eventsOf<ScheduleEvent>(deps.events, schedule, "Schedule");
    const context: ScheduleContext = { ...deps, schedule, key: keyOf(request), events, signal };
    const observed = await observe(context, held?.store);
    const decision = decideSchedule(observed);
    deps.log.debug({ schedule: context.key, decision: decision.do }, "decided");
    return act(context, observed, decision, held?.store);
  };
}

async function act(
  context: ScheduleContext,
  observed: ScheduleReport,
  decision: ScheduleDecision,
  store: EtcdBackupStore | undefined,
): Promise<Result> {
  switch (decision.do) {
    case "create":
      return create(context, observed, decision.cause);
    case "pass":
      await writeScheduleStatus(
        context,
        reported({
          ...observed,
          schedule: withStatus(observed.schedule, passedOver(observed.schedule, decision)),
        }),
      );
      tell(context, decision);
      return { againAfterMs: 0 };
    case "wait":
      return rest(context, observed, store);
    default:
      return decision satisfies never;
  }
}

/** While no backup is to begin: retention, the history limits, and the wait for the next time. */
async function rest(
  context: ScheduleContext,
  observed: ScheduleReport,
  store: EtcdBackupStore | undefined,
): Promise<Result> {
  const retained = await retain(context, observed, store);
  const { recoveryWindow, ...status } = context.schedule.status;
  const keepsWindow = retained.fields.retention === undefined && recoveryWindow !== undefined;
  const schedule = withStatus(context.schedule, {
    ...status,
    ...(keepsWindow ? { recoveryWindow } : {}),
    ...retained.fields,
  });
  await writeScheduleStatus(context, reported({ ...observed, schedule }));
  const removed = await removeOldRecords(context, observed);
  const waits = [
    wakeAfterMs(observed) ?? longestWaitMs,
    retained.againAfterMs ?? longestWaitMs,
    removed === recordsAPass ? 1_000 : longestWaitMs,
    longestWaitMs,
  ];
  return { againAfterMs: Math.min(...waits) };
}

function withStatus(schedule: EtcdBackupSchedule, status: EtcdBackupSchedule["status"]): EtcdBackupSchedule {
  return { ...schedule, status };
}

/** Get, adopt, or create: the name is that of the cause, so a pass whose status was lost finds what it created. */
async function create(context: ScheduleContext, observed: ScheduleReport, cause: Cause): Promise<Result> {
  const { schedule, events, now } = context;
  const { name } = schedule.metadata;
  const made = await getOrCreate(context, cause);
  if (made.is === "refused") return refused(context, observed, made.message);
  const { existing } = made;
  if (existing !== undefined && scheduleOf(existing) !== name) {
    const status = adoptionRefused(schedule, cause, now());
    await writeScheduleStatus(context, status);
    events.warning("AdoptionRefused", status.lastFailure?.message ?? "");
    return { againAfterMs: 0 };
  }
  const next = withStatus(schedule, created(schedule, cause));
  const active = childName(name, cause);
  await writeScheduleStatus(context, { ...reported({ ...observed, schedule: next }), active });
  if (existing === undefined) events.normal("BackupCreated", `EtcdBackup ${active}, ${describe(cause)}`);
  else if (isFinished(existing)) events.warning("BackupExists", describeExisting(existing, cause));
  return { againAfterMs: 0 };
}

async function getOrCreate(
  { schedule, resources, signal, now }: ScheduleContext,
  cause: Cause,
): Promise<{ is: "there"; existing?: EtcdBackup | undefined } | { is: "refused"; message: string }> {
  const { namespace = "", name } = schedule.metadata;
  const ref = { namespace, name: childName(name, cause) };
  const existing = await resources.backup(ref, signal);
  if (existing !== undefined) return { is: "there", existing };
  try {
    const isNew = await resources.createBackup(childOf(schedule, cause), signal);
    return { is: "there", ...(isNew ? {} : { existing: await resources.backup(ref, signal) }) };
  } catch (error) {
    signal.throwIfAborted();
    if (isBlip(asOperatorError(error), cause, now())) throw error;
    return { is: "refused", message: withHint(asOperatorError(error)) };
  }
}

/** Whether a failure may pass within the first minute, which is worth no word in status. */
function isBlip({ code }: OperatorError, cause: Cause, now: Date): boolean {
  const isPassing = code === "Unreachable" || code === "Timeout" || code === "Conflict";
  return isPassing && cause.is !== "trigger" && now.getTime() - cause.time.getTime() < blipMs;
}

async function refused(context: ScheduleContext, observed: ScheduleReport, message: string): Promise<Result> {
  const { schedule, events, now } = context;
  const known = schedule.status.lastFailure;
  const again = { againAfterMs: retryCreationMs };
  if (known?.reason === "CreationFailed" && known.message === message) return again;
  const status = reported(observed);
  const failed = creationFailed(withStatus(schedule, status), message, now());
  await writeScheduleStatus(context, { ...status, ...failed });
  events.warning("CreationFailed", message);
  return again;
}

function describeExisting({ metadata: { name, creationTimestamp } }: EtcdBackup, cause: Cause): string {
  const exists = `EtcdBackup ${name} exists since ${creationTimestamp}`;
  return cause.is === "trigger"
    ? `${exists} for this value of etcdbackup.dev/trigger: set the annotation to a new value to ask for one more`
    : `${exists}, ${describe(cause)}: the clock was ahead then, or is behind now`;
}

function describe(cause: Cause): string {
  if (cause.is === "trigger") return "as the annotation etcdbackup.dev/trigger asks";
  const time = wholeSeconds(cause.time);
  return cause.is === "time" ? `for ${time}` : "as spec.runImmediately asks";
}

function tell({ events, schedule }: ScheduleContext, { until, why }: { until: Date; why: PassReason }): void {
  const time = wholeSeconds(until);
  switch (why) {
    case "skipped":
      events.warning(
        "BackupSkipped",
        `${time} is not run: EtcdBackup ${schedule.status.active ?? ""} still runs`,
      );
      return;
    case "missed":
      events.warning(
        "TimeMissed",
        `${time} is not run: it is later than spec.startingDeadlineSeconds (${schedule.spec.startingDeadlineSeconds}) allows`,
      );
      return;
    case "clockSetBack":
      events.warning(
        "ClockSetBack",
        `the clock says ${time}, and times up to ${schedule.status.handledUntil} were handled: the clock was ahead then, or is behind now`,
      );
      return;
    case "first":
    case "changed":
    case "suspended":
      return;
    default:
      why satisfies never;
  }
}

/** Deletes EtcdBackups beyond the history limits. Resolves to their number. */
async function removeOldRecords(
  { resources, schedule, events, signal }: ScheduleContext,
  { children }: ScheduleReport,
): Promise<number> {
  // Retention acts after the newest success, and finds it by its record.
  const newest = newestSuccess(children)?.metadata.name;
  const isNeeded = (name: string) => name === newest && schedule.status.retention?.after !== newest;
  const old = beyondHistory(children, schedule.spec)
    .filter(({ metadata }) => !isNeeded(metadata.name))
    .slice(0, recordsAPass);
  for (const backup of old) {
    await resources.removeBackup(backup, signal);
    events.normal("RecordRemoved", `EtcdBackup ${backup.metadata.name} is beyond the history limit`);
  }
  return old.length;
}
