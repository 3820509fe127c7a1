import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";
import {
  type Hold,
  type Holder,
  SilenceMeter,
  askAgainMs,
  decideHold,
  holdOf,
  isLate,
} from "../../core/store/hold.ts";
import { probing } from "../../core/store/status.ts";
import { type EventSink, type Regarding, eventsOf } from "../events.ts";
import { type Request, keyOf } from "../reconciler.ts";

export interface HoldDeps {
  holder: Holder;
  resources: {
    store(request: Request, signal: AbortSignal): Promise<EtcdBackupStore | undefined>;
    /** Writes the status of the version that was read. Conflict when the store has changed since. */
    replaceStoreStatus(
      store: EtcdBackupStore,
      status: EtcdBackupStoreStatus,
      signal: AbortSignal,
    ): Promise<EtcdBackupStore>;
  };
  events: EventSink;
  now: () => Date;
  /** Milliseconds, monotonic. */
  clock: () => number;
  log: Log;
}

/** `ours`: this operator may work on the store and on what uses it; the store as it is then. */
export type HoldState =
  | { is: "ours"; store: EtcdBackupStore }
  /** `againAfterMs`: when to read the store again. */
  | { is: "foreign"; holder: string; durationMs: number; againAfterMs: number };

const writeAttempts = 4;

/**
 * The holds of this operator and of those with other Leases. A store has one holder, which is written by compare and
 * swap. Only the holder works on the store, and on the EtcdBackups,
 * EtcdBackupSchedules and EtcdRestores that use it.
 */
export class StoreHolds {
  readonly #deps: HoldDeps;
  readonly #meter = new SilenceMeter();
  /** When this process last renewed its hold, by the UID of the store. */
  readonly #renewedAt = new Map<string, number>();
  /** What other operators work on and this one has reported: the holder, by kind and key. */
  readonly #foreign = new Map<string, string>();

  constructor(deps: HoldDeps) {
    this.#deps = deps;
  }

  /** Takes or renews the hold of a store that was just read, unless another operator has it. */
  async hold(read: EtcdBackupStore, signal: AbortSignal): Promise<HoldState> {
    const { holder, resources, clock } = this.#deps;
    let store = read;
    for (let attempt = 1; ; attempt += 1) {
      const { uid } = store.metadata;
      const recorded = store.status.operator;
      const times = {
        silentMs: this.#meter.read(uid, recorded, clock()),
        renewedAgoMs: clock() - (this.#renewedAt.get(uid) ?? Number.NEGATIVE_INFINITY),
      };
      const decision = decideHold(recorded, holder, times);
      if (decision.do === "work") return { is: "ours", store };
      if (decision.do === "leave") {
        const { holder: other, durationMs } = decision;
        return { is: "foreign", holder: other, durationMs, againAfterMs: askAgainMs(durationMs) };
      }
      try {
        return { is: "ours", store: await this.#take(store, decision.from, signal) };
      } catch (error) {
        if (asOperatorError(error).code !== "Conflict" || attempt >= writeAttempts) throw error;
        store = await existing(resources, store, signal);
      }
    }
  }

  async #take(
    store: EtcdBackupStore,
    from: string | undefined,
    signal: AbortSignal,
  ): Promise<EtcdBackupStore> {
    const { resources, now, clock, events, log } = this.#deps;
    const isNew = (store.status.conditions ?? []).length === 0;
    const status = { ...(isNew ? probing(store, now()) : store.status), operator: this.renewal() };
    const at = clock();
    const taken = await resources.replaceStoreStatus(store, status, signal);
    this.#renewedAt.set(store.metadata.uid, at);
    if (from !== undefined) {
      const note = `the operator with Lease ${from} has not renewed its hold; the operator with Lease ${this.#deps.holder.lease} took over`;
      log.warn({ store: keyOf(store.metadata), from }, "took over an EtcdBackupStore");
      eventsOf<"TakenOver">(events, store, "Probe").normal("TakenOver", note);
    }
    return taken;
  }

  /** Milliseconds of silence after which another operator may take over. */
  get durationMs(): number {
    return this.#deps.holder.durationMs;
  }

  /** Milliseconds between two renewals. */
  get renewEveryMs(): number {
    return this.#deps.holder.durationMs / 3;
  }

  /** The hold to write with the next status of the store. */
  renewal(): Hold {
    return holdOf(this.#deps.holder, this.#deps.now());
  }

  /** Notes that a status with the renewal was written; `at`: the clock before the write. */
  renewed({ metadata }: EtcdBackupStore, at: number): void {
    this.#renewedAt.set(metadata.uid, at);
  }

  /** Whether the hold has to be renewed before any other write. */
  isLate({ metadata }: EtcdBackupStore): boolean {
    const at = this.#renewedAt.get(metadata.uid) ?? Number.NEGATIVE_INFINITY;
    return isLate(this.#deps.clock() - at, this.#deps.holder.durationMs);
  }

  clock(): number {
    return this.#deps.clock();
  }

  /** Reports once that another operator works on an object. */
  leave(object: Regarding, holder: string): void {
    const { events, log } = this.#deps;
    const { kind, metadata } = object;
    const key = `${kind} ${keyOf(metadata)}`;
    const which = `${metadata.uid} ${holder}`;
    if (this.#foreign.get(key) === which) return;
    this.#foreign.set(key, which);
    const { lease } = this.#deps.holder;
    log.warn({ kind, key: keyOf(metadata), holder, lease }, "the operator of another Lease holds the object");
    const note = `held by the operator with Lease ${holder}; the operator with Lease ${lease} leaves it alone`;
    const recorder = eventsOf<"HeldByAnotherOperator">(events, object, actionOf[kind]);
    if (kind === "EtcdBackupStore") recorder.warning("HeldByAnotherOperator", note);
    else recorder.normal("HeldByAnotherOperator", note);
  }

  /** Notes that no other operator works on the object, or that it does not exist. */
  keep(kind: Regarding["kind"], request: Request): void {
    this.#foreign.delete(`${kind} ${keyOf(request)}`);
  }

  /** Frees what is known of a store that does not exist. */
  forget(uid: string): void {
    this.#meter.forget(uid);
    this.#renewedAt.delete(uid);
  }

  /** The number of stores that operators of other Leases hold. */
  get foreignStores(): number {
    return [...this.#foreign.keys()].filter((key) => key.startsWith("EtcdBackupStore ")).length;
  }
}

const actionOf = {
  EtcdBackup: "Backup",
  EtcdBackupSchedule: "Schedule",
  EtcdBackupStore: "Probe",
  EtcdRestore: "Restore",
} as const;

async function existing(
  resources: HoldDeps["resources"],
  { metadata: { namespace = "", name } }: EtcdBackupStore,
  signal: AbortSignal,
): Promise<EtcdBackupStore> {
  const store = await resources.store({ namespace, name }, signal);
  if (store !== undefined) return store;
  throw new OperatorError("NotFound", `EtcdBackupStore ${name} no longer exists`, { permanent: false });
}
