import { OperatorError, asOperatorError } from "../core/errors.ts";
import { FairLine, placeForMs } from "../core/fair-line.ts";
import type { RunView } from "../core/run-view.ts";
import { requestOf } from "./reconciler.ts";

interface Run<Report, Result> {
  uid: string;
  attempt: number;
  view: Exclude<RunView<Report, Result>, { state: "none" }>;
  controller: AbortController;
  settled: Promise<void>;
}

interface RegistryOptions {
  limit: number;
  /** Called with the key of a run that has ended, whose report has changed, or for which a slot has become free. */
  wake: (key: string) => void;
  /**
   * Whether resources of other namespaces may need a slot. Then, with a limit of 2 or more, one namespace holds at most
   * all slots but one. Absent: never.
   */
  isShared?: () => boolean;
  /** Monotonic milliseconds. */
  now?: () => number;
}

/**
 * The long-running work of this process, at most one run a key. A slot is reserved before the attempt is written to
 * status, so the limit holds, and the attempt in status is the one that runs. An ended run is kept until the reconciler
 * has recorded its end and forgets it. The next process looks in the store for what this one stored.
 *
 * Keys that wait for a slot stand in a line: in the order of arrival within a namespace, and the namespaces take turns.
 * A slot that becomes free belongs to the next in turn, which is woken.
 */
export class RunRegistry<Report extends object, Result> {
  readonly #runs = new Map<string, Run<Report, Result>>();
  readonly #limit: number;
  readonly #wake: (key: string) => void;
  readonly #isShared: () => boolean;
  readonly #now: () => number;
  readonly #line = new FairLine(namespaceOf);
  /** The place that each key in the line was told, and when. */
  readonly #places = new Map<string, { place: number; at: number }>();

  constructor({ limit, wake, isShared = () => false, now = () => performance.now() }: RegistryOptions) {
    this.#limit = limit;
    this.#wake = wake;
    this.#isShared = isShared;
    this.#now = now;
  }

  get freeSlots(): number {
    return this.#limit - this.active;
  }

  /** Runs that are running or reserved. */
  get active(): number {
    return [...this.#runs.values()].filter(isActive).length;
  }

  /** Whether this process holds a run of the key, in any state. */
  has(key: string): boolean {
    return this.#runs.has(key);
  }

  /** The free slots that the key may take now, and its place in the line, from 1, if it has to wait. */
  slotFor(key: string): { freeSlots: number; place: number } {
    const inTurn = this.#inTurn();
    const told = this.#places.get(key);
    const isCurrent = told !== undefined && this.#now() - told.at < placeForMs;
    const place = isCurrent ? told.place : this.#line.placeOf(key);
    if (this.#line.has(key)) return { freeSlots: inTurn.includes(key) ? 1 : 0, place };
    const namespace = namespaceOf(key);
    const ahead = inTurn.filter((other) => namespaceOf(other) === namespace).length;
    const free = this.#admits(namespace, ahead) ? this.freeSlots - inTurn.length : 0;
    return { freeSlots: Math.max(0, free), place };
  }

  /** Puts the key in the line, or keeps it there. `place`: the one of `slotFor`. */
  waitInLine(key: string, place: number): void {
    this.#line.add(key);
    const told = this.#places.get(key);
    if (told === undefined || this.#now() - told.at >= placeForMs)
      this.#places.set(key, { place, at: this.#now() });
  }

  /** Takes the key out of the line, and wakes the next when it was in turn. */
  leaveLine(key: string): void {
    this.#places.delete(key);
    if (this.#line.delete(key)) this.#wakeInTurn();
  }

  /** The keys in the line for which a slot is free. */
  #inTurn(): string[] {
    return this.#line.first(this.freeSlots, (namespace, before) => this.#admits(namespace, before));
  }

  /** Whether a namespace may hold another slot besides its own and `more`. */
  #admits(namespace: string, more: number): boolean {
    if (!this.#isShared() || this.#limit < 2) return true;
    const held = [...this.#runs].filter(([key, run]) => isActive(run) && namespaceOf(key) === namespace);
    return held.length + more < this.#limit - 1;
  }

  #wakeInTurn(): void {
    for (const key of this.#inTurn()) this.#wake(key);
  }

  /** The run of the resource with this UID. A run of another resource under the same key counts as none. */
  view(key: string, uid: string): RunView<Report, Result> {
    const run = this.#runs.get(key);
    return run?.uid === uid ? run.view : { state: "none" };
  }

  /** Cancels and forgets the run of an earlier resource under the same key. */
  async cancelOthers(key: string, uid: string): Promise<void> {
    const run = this.#runs.get(key);
    if (run !== undefined && run.uid !== uid)
      await this.cancel(key, "another resource of the same name replaced this one");
  }

  /** Reserves a slot for an attempt; false when none is free. A reservation that exists is kept. */
  reserve(key: string, { uid, attempt }: { uid: string; attempt: number }): boolean {
    const held = this.#runs.get(key);
    if (held !== undefined) return held.uid === uid && held.view.state === "reserved";
    if (this.slotFor(key).freeSlots <= 0) return false;
    this.#line.serve(key);
    this.#places.delete(key);
    const view = { state: "reserved", attempt } as const;
    const controller = new AbortController();
    this.#runs.set(key, { uid, attempt, view, controller, settled: Promise.resolve() });
    return true;
  }

  /** Starts the reserved run. `work` reports by the fields that changed; its signal fires when the run is cancelled. */
  start(
    key: string,
    first: Report,
    work: (report: (change: Partial<Report>) => void, signal: AbortSignal) => Promise<Result>,
  ): void {
    const run = this.#runs.get(key);
    if (run?.view.state !== "reserved") throw new OperatorError("Internal", `no run is reserved for ${key}`);
    let report = first;
    const update = (change: Partial<Report>) => {
      if (run.view.state !== "running") return;
      report = { ...report, ...change };
      run.view = { state: "running", report };
      this.#wake(key);
    };
    const execute = async (): Promise<void> => {
      try {
        const result = await work(update, run.controller.signal);
        run.view = { state: "succeeded", report, result };
      } catch (error) {
        run.view = { state: "failed", report, error: asOperatorError(error) };
      }
      this.#wake(key);
      this.#wakeInTurn();
    };
    run.view = { state: "running", report };
    run.settled = execute();
  }

  /** Cancels and forgets the run under this key. Resolves when its work has cleaned up. */
  async cancel(key: string, why: string): Promise<void> {
    this.leaveLine(key);
    const run = this.#runs.get(key);
    if (run === undefined) return;
    run.controller.abort(new OperatorError("Aborted", why));
    await run.settled;
    if (this.#runs.get(key) !== run) return;
    this.#runs.delete(key);
    this.#wakeInTurn();
  }

  /** Drops an ended run once its end is recorded. */
  forget(key: string): void {
    const run = this.#runs.get(key);
    if (run === undefined || run.view.state === "running") return;
    this.#runs.delete(key);
    if (isActive(run)) this.#wakeInTurn();
  }

  /** Cancels every run. Resolves to the running and reserved attempts that certainly did not succeed. */
  async stopAll(why: string): Promise<{ key: string; attempt: number }[]> {
    const stopped = [...this.#runs].map(async ([key, run]) => {
      const wasActive = run.view.state === "running" || run.view.state === "reserved";
      run.controller.abort(new OperatorError("Aborted", why));
      await run.settled;
      const { view } = run;
      const maySucceed = view.state === "succeeded" || (view.state === "failed" && view.error.outcomeUnknown);
      return wasActive && !maySucceed ? [{ key, attempt: run.attempt }] : [];
    });
    return (await Promise.all(stopped)).flat();
  }
}

function isActive({ view }: Pick<Run<object, unknown>, "view">): boolean {
  return view.state === "running" || view.state === "reserved";
}

function namespaceOf(key: string): string {
  return requestOf(key).namespace;
}
