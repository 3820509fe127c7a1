import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../api/v1alpha1/etcd-backup-schedule.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { keyOf, requestOf } from "../controllers/reconciler.ts";
import { isFinished } from "../core/conditions.ts";
import { scheduleOf, triggerAnnotation } from "../core/schedule/child.ts";
import type { KeyedQueue } from "../kube/queue.ts";
import type { Informers } from "./informers.ts";

/** The EtcdBackups of each EtcdBackupSchedule, by the watch. */
export class ChildrenBySchedule {
  readonly #children = new Map<string, Map<string, EtcdBackup>>();
  readonly #schedules = new Map<string, string>();

  of(schedule: string): EtcdBackup[] {
    return [...(this.#children.get(schedule)?.values() ?? [])];
  }

  /** Notes a change. Returns the schedules whose children came, went, or ended by it. */
  set(key: string, backup: EtcdBackup | undefined): string[] {
    const before = this.#schedules.get(key);
    const name = backup === undefined ? undefined : scheduleOf(backup);
    const schedule = name === undefined ? undefined : keyOf({ namespace: requestOf(key).namespace, name });
    const known = before === undefined ? undefined : this.#children.get(before)?.get(key);
    if (before !== undefined && before !== schedule) this.#remove(before, key);
    if (schedule !== undefined && backup !== undefined) {
      const children = this.#children.get(schedule) ?? new Map<string, EtcdBackup>();
      this.#children.set(schedule, children.set(key, backup));
      this.#schedules.set(key, schedule);
    }
    const isSame =
      before === schedule &&
      known?.metadata.uid === backup?.metadata.uid &&
      (known === undefined || backup === undefined || isFinished(known) === isFinished(backup));
    return isSame ? [] : [...new Set([before, schedule])].filter((one) => one !== undefined);
  }

  #remove(schedule: string, key: string): void {
    const children = this.#children.get(schedule);
    children?.delete(key);
    if (children?.size === 0) this.#children.delete(schedule);
    this.#schedules.delete(key);
  }
}

/**
 * Wakes the schedules whose spec or trigger changes, whose EtcdBackups come, go or end, and whose store becomes usable or
 * unusable. Their own status wakes none, and neither does the renewal of a store.
 */
export function wakeSchedules(
  informers: Pick<Informers, "backups" | "schedules" | "stores">,
  queue: KeyedQueue,
  children: ChildrenBySchedule,
  until: AbortSignal,
): void {
  const { backups, schedules, stores } = informers;
  backups.onChange((key, backup) => {
    for (const schedule of children.set(key, backup)) queue.add(schedule);
  }, until);
  const users = followUsers(schedules, queue, until);
  const states = new Map<string, string>();
  stores.onChange((key, store) => {
    const state = store === undefined ? undefined : stateOf(store);
    if (states.get(key) === state) return;
    if (state === undefined) states.delete(key);
    else states.set(key, state);
    for (const schedule of users.get(key) ?? []) queue.add(schedule);
  }, until);
}

/** The schedules of each store. Wakes a schedule when its spec or trigger changes. */
function followUsers(
  schedules: Informers["schedules"],
  queue: KeyedQueue,
  until: AbortSignal,
): ReadonlyMap<string, ReadonlySet<string>> {
  const users = new Map<string, Set<string>>();
  const known = new Map<string, { state: string; store: string }>();
  schedules.onChange((key, schedule) => {
    const before = known.get(key);
    const now = schedule === undefined ? undefined : { state: wantOf(schedule), store: storeOf(schedule) };
    if (before?.state === now?.state) return;
    if (before !== undefined) users.get(before.store)?.delete(key);
    if (before !== undefined && users.get(before.store)?.size === 0) users.delete(before.store);
    if (now === undefined) known.delete(key);
    else {
      known.set(key, now);
      users.set(now.store, (users.get(now.store) ?? new Set()).add(key));
    }
    queue.add(key);
  }, until);
  return users;
}

function storeOf({ metadata: { namespace = "" }, spec }: EtcdBackupSchedule): string {
  return keyOf({ namespace, name: spec.template.spec.storeRef.name });
}

/** What a person can ask of a schedule. */
function wantOf({ metadata }: EtcdBackupSchedule): string {
  const { uid, generation, deletionTimestamp, annotations } = metadata;
  return JSON.stringify([uid, generation, deletionTimestamp, annotations?.[triggerAnnotation]]);
}

/** What a schedule reads of its store. */
function stateOf({ metadata, spec, status }: EtcdBackupStore): string {
  const ready = status.conditions?.find(({ type }) => type === "Ready");
  return JSON.stringify([
    metadata.uid,
    metadata.deletionTimestamp,
    spec.accessMode,
    ready?.status === "False" ? ready.message : "",
    status.operator?.lease,
  ]);
}

/** Milliseconds between two looks at the clocks. */
const lookEveryMs = 10_000;
/** The difference between the clocks that counts as a jump. */
const jumpMs = 2_000;

/**
 * Calls back when the wall clock jumps against the monotonic one, which the timers follow: a time of a schedule may be due
 * before its timer, or have gone. Ends with the signal.
 */
export function followClockJumps(
  { now, onJump }: { now: () => Date; onJump: () => void },
  until: AbortSignal,
): void {
  let offset = now().getTime() - performance.now();
  const timer = setInterval(() => {
    const at = now().getTime() - performance.now();
    const hasJumped = Math.abs(at - offset) > jumpMs;
    // Slow drift adds up, so each look is compared with the last one that jumped.
    if (!hasJumped) return;
    offset = at;
    onJump();
  }, lookEveryMs);
  until.addEventListener("abort", () => clearInterval(timer), { once: true });
}
