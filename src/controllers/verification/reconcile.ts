import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import { parseSchedule } from "../../core/schedule/schedule.ts";
import { decideRound, expressionOf } from "../../core/verification/round.ts";
import { handledOf } from "../../core/verification/status.ts";
import { type Reconcile, type Result, keyOf } from "../reconciler.ts";
import type { VerificationControllerDeps } from "./context.ts";
import { type RoundMemory, verifyNext } from "./verify-next.ts";

/** setTimeout takes no more than 24 days. */
const longestWaitMs = 24 * 3_600_000;
/** Milliseconds until the next look for a listing of the store. */
const listingEveryMs = 15_000;
/** Milliseconds until the next try after a read that failed. */
const retryMs = 5 * 60_000;
/** Milliseconds between two looks at the hold while a backup is read, and after one that was stopped. */
const lookEveryMs = 1_000;

/**
 * Verifies the backups of one EtcdBackupStore at the times of spec.verify. One pass verifies one backup, and the next
 * one follows at once. What was verified stands in the store, so after a crash the next operator goes on there.
 */
export function verificationReconciler(deps: VerificationControllerDeps): Reconcile {
  const rounds = new Map<string, RoundMemory>();
  return async (request, signal) => {
    const read = await deps.resources.store(request, signal);
    const isWanted = read?.spec.verify !== undefined && read.metadata.deletionTimestamp === undefined;
    const held = isWanted ? await deps.holds.hold(read, signal) : undefined;
    if (held?.is === "ours") return pass(deps, held.store, rounds, signal);
    deps.reports.forget(request);
    rounds.delete(keyOf(request));
    return held === undefined ? undefined : { againAfterMs: held.againAfterMs };
  };
}

async function pass(
  deps: VerificationControllerDeps,
  store: EtcdBackupStore,
  rounds: Map<string, RoundMemory>,
  signal: AbortSignal,
): Promise<Result> {
  const { reports, wake, now } = deps;
  const { verify } = store.spec;
  const parsed = verify && parseSchedule(verify.schedule, verify.timeZone);
  // The controller of stores says so in status.
  if (verify === undefined || parsed?.is !== "schedule") return undefined;
  const key = keyOf(store.metadata);
  const expression = expressionOf(verify);
  const handled = reports.find(store)?.handled ?? handledOf(store);
  const decision = decideRound(parsed.schedule, { expression, handled, now: now() });
  const handledUntil = (until: Date): Result => {
    reports.update(store, { handled: { until, schedule: expression } });
    rounds.delete(key);
    wake.stores(key);
    return { againAfterMs: 0 };
  };
  switch (decision.do) {
    case "wait":
      return decision.until && { againAfterMs: Math.min(waitMs(decision.until, now()), longestWaitMs) };
    case "pass":
      return handledUntil(decision.until);
    case "verify": {
      const memory = rememberedRound(rounds, key, { store, due: decision.due });
      const result = await verifyWhileHeld(deps, store, memory, signal);
      return result === "done" ? handledUntil(decision.due) : result;
    }
    default:
      return decision satisfies never;
  }
}

function waitMs(until: Date, now: Date): number {
  return Math.max(0, until.getTime() - now.getTime());
}

/** What was learned in this round. Another due time, and another spec, begin anew. */
function rememberedRound(
  rounds: Map<string, RoundMemory>,
  key: string,
  { store: { metadata }, due }: { store: EtcdBackupStore; due: Date },
): RoundMemory {
  const of = `${metadata.uid} ${metadata.generation} ${due.getTime()}`;
  const known = rounds.get(key);
  if (known?.of === of) return known;
  const fresh = { of, due, excluded: new Set<string>(), postponed: new Set<string>() };
  rounds.set(key, fresh);
  return fresh;
}

/** Verifies the next backup, and stops when the hold of the store may be lost. */
async function verifyWhileHeld(
  deps: VerificationControllerDeps,
  store: EtcdBackupStore,
  memory: RoundMemory,
  signal: AbortSignal,
): Promise<Result | "done"> {
  const { catalogs, running, holds, reports, wake, log } = deps;
  const key = keyOf(store.metadata);
  const catalog = catalogs.find(store);
  if (catalog?.listedAt === undefined) return { againAfterMs: listingEveryMs };
  const run = running.begin(key);
  const look = setInterval(() => {
    if (holds.isLate(store)) running.stop(key, "the hold of the EtcdBackupStore could not be renewed");
  }, lookEveryMs);
  try {
    const within = AbortSignal.any([signal, run.signal]);
    const next = await verifyNext({ ...deps, store, key, catalog, signal: within }, memory);
    if (next === "done") return "done";
    return { againAfterMs: next === "later" ? retryMs : 0 };
  } catch (thrown) {
    signal.throwIfAborted();
    if (run.signal.aborted) {
      log.info({ store: key, why: messageOfStop(run.signal) }, "a verification was stopped");
      return { againAfterMs: lookEveryMs };
    }
    const error = asOperatorError(thrown);
    if (error.code === "Internal") throw error;
    log.warn({ store: key, err: error }, "a backup cannot be verified now");
    const trouble = `the verification due at ${memory.due.toISOString()} waits: ${withHint(error)}`;
    if (reports.find(store)?.trouble !== trouble) wake.stores(key);
    reports.update(store, { trouble });
    return { againAfterMs: retryMs };
  } finally {
    clearInterval(look);
    run.end();
  }
}

function messageOfStop({ reason }: AbortSignal): string {
  return reason instanceof OperatorError ? reason.message : String(reason);
}
