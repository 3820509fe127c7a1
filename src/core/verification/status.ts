import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { Condition, StoreReason } from "../../api/v1alpha1/conditions.ts";
import { setCondition, wholeSeconds } from "../conditions.ts";
import type { ParsedSchedule } from "../schedule/schedule.ts";
import { type Handled, expressionOf } from "./round.ts";

export type VerificationStatus = NonNullable<EtcdBackupStoreStatus["verification"]>;
export type Failing = NonNullable<VerificationStatus["failing"]>[number];

/** What this process knows of the verifications of one store. */
export interface VerificationReport {
  handled: Handled | undefined;
  /** Backups verified since the last due time. */
  verified: number | undefined;
  lastTime?: Date;
  lastSuccessfulTime?: Date;
  /** Why a verification is late. */
  trouble?: string | undefined;
}

/** The backups that have failed, by what the store says. */
export interface FoundFailures {
  failing: readonly Failing[];
  /** Folders of which it is not known: what the status says of them stays. Absent: all folders. */
  unknown?: ReadonlySet<string>;
  warnings: readonly string[];
}

/** Where the store could not be asked. */
export const failuresUnknown: FoundFailures = { failing: [], warnings: [] };

/** Failing backups that the status lists, and of these the ones that the condition's message names. */
const shown = { inStatus: 20, inMessage: 3 };

/** What the status says of the time up to which the schedule was handled. */
export function handledOf({ status: { verification } }: EtcdBackupStore): Handled | undefined {
  const { handledUntil, handledSchedule } = verification ?? {};
  if (handledUntil === undefined || handledSchedule === undefined) return undefined;
  return { until: new Date(handledUntil), schedule: handledSchedule };
}

/** The status with the field and the condition of the verifications. `status`: the next one without them. */
export function withVerification(
  store: EtcdBackupStore,
  status: EtcdBackupStoreStatus,
  observed: {
    found: FoundFailures;
    report: VerificationReport | undefined;
    schedule: ParsedSchedule | undefined;
    now: Date;
  },
): EtcdBackupStoreStatus {
  const { found, now } = observed;
  const before = store.status.verification;
  const { unknown } = found;
  const kept = (before?.failing ?? []).filter(({ clusterName }) => unknown?.has(clusterName) ?? true);
  const failing = [...found.failing, ...kept];
  // A status lists no more than some, so where nothing could be asked the number stays as well.
  const failed = unknown === undefined ? (before?.failed ?? failing.length) : failing.length;
  const { verification: _, ...rest } = status;
  const others = (status.conditions ?? []).filter(({ type }) => type !== "Verified");
  if (observed.schedule === undefined && failed === 0) return { ...rest, conditions: others };
  const verification = {
    ...timesOf(store, observed),
    failed,
    ...(failing.length === 0 ? {} : { failing: failing.slice(0, shown.inStatus) }),
  };
  const condition = conditionOf(verification, observed);
  const stamp = { generation: store.metadata.generation, now };
  return {
    ...rest,
    conditions: setCondition(status.conditions ?? [], { type: "Verified", ...condition }, stamp),
    verification,
  };
}

function timesOf(
  store: EtcdBackupStore,
  {
    report,
    schedule,
    now,
  }: { report: VerificationReport | undefined; schedule: ParsedSchedule | undefined; now: Date },
): Omit<VerificationStatus, "failed" | "failing"> {
  const { lastTime, lastSuccessfulTime, verified } = store.status.verification ?? {};
  const { verify } = store.spec;
  const last = report?.lastTime === undefined ? lastTime : wholeSeconds(report.lastTime);
  const success =
    report?.lastSuccessfulTime === undefined ? lastSuccessfulTime : wholeSeconds(report.lastSuccessfulTime);
  const times = {
    ...(last === undefined ? {} : { lastTime: last }),
    ...(success === undefined ? {} : { lastSuccessfulTime: success }),
  };
  if (verify === undefined || schedule?.is !== "schedule") return times;
  const handled = report?.handled ?? handledOf(store);
  const next = schedule.schedule.nextAfter(now);
  const count = report?.verified ?? verified;
  return {
    ...times,
    ...(next === undefined ? {} : { nextTime: wholeSeconds(next) }),
    ...(handled === undefined
      ? {}
      : { handledUntil: wholeSeconds(handled.until), handledSchedule: handled.schedule }),
    ...(count === undefined || handled?.schedule !== expressionOf(verify) ? {} : { verified: count }),
  };
}

function conditionOf(
  { failed, failing = [], lastSuccessfulTime }: VerificationStatus,
  {
    found: { warnings },
    report,
    schedule,
  }: {
    found: FoundFailures;
    report: VerificationReport | undefined;
    schedule: ParsedSchedule | undefined;
  },
): Pick<Condition, "status" | "reason" | "message"> {
  const state = (
    status: Condition["status"],
    reason: StoreReason,
    message: string,
  ): Pick<Condition, "status" | "reason" | "message"> => {
    const more = [...(report?.trouble === undefined ? [] : [report.trouble]), ...warnings];
    return { status, reason, message: [message, ...more].join("; ") };
  };
  if (failed > 0)
    return state(
      "False",
      "VerificationFailed",
      describeFailing(failed, failing, schedule?.is === "schedule"),
    );
  if (schedule?.is === "invalid")
    return state("False", "InvalidSchedule", `spec.verify: ${schedule.problem} (${schedule.hint})`);
  if (lastSuccessfulTime === undefined)
    return state("Unknown", "NotVerifiedYet", "no backup has been verified yet");
  return state("True", "Verified", `a backup was last verified at ${lastSuccessfulTime}`);
}

function describeFailing(failed: number, failing: readonly Failing[], isRepeated: boolean): string {
  const named = failing
    .slice(0, shown.inMessage)
    .map(({ clusterName, backup, time, problem }) => `${clusterName}/${backup}, at ${time}: ${problem}`);
  const more = failed > named.length ? `; ${failed - named.length} more` : "";
  const what = failed === 1 ? "1 backup has" : `${failed} backups have`;
  return `${what} failed the last verification and can probably not be restored (${named.join("; ")}${more}): restore the objects from a copy of the store, or delete the backup${isRepeated ? "; it is verified again at the next time" : ""}`;
}
