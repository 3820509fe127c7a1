import { OperatorError, asOperatorError } from "../core/errors.ts";
import { FairLine, placeForMs } from "../core/fair-line.ts";
import type { RunView, TurnState } from "../core/run-view.ts";
import { requestOf } from "./reconciler.ts";

interface Run<Report, Result> {
  uid: string;
  attempt: number;
  turn: string | undefined;
  view: Exclude<RunView<Report, Result>, { state: "none" }>;
  controller: AbortController;
  settled: Promise<void>;
}

interface RegistryOptions<Report> {
  limit: number;
  /** Called with the key of a run that has ended, whose report has changed, or for which a slot has become free. */
  wake: (key: string) => void;
  /**
   * Whether resources of other namespaces may need a slot. Then, with a limit of 2 or more, one namespace holds at most
   * all slots but one. Absent: never.
   */
  isShared?: () => boolean;
  /** Of a run that has a turn. Absent: it holds the turn until it ends. */
  turnStateOf?: (report: Report) => TurnState;
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
 *
 * Keys that work on the same thing name the same turn. One that has to wait for its turn gets no slot, and those behind
 * it in the line do not wait for it. Within a namespace that is from the reservation of a slot on. A run of another
 * namespace delays only once its report says that it holds the turn: a resource could name what it never reaches. Runs
 * that reach the same thing under different turns, or start together in two namespaces, do hold a slot each, and have to
 * wait for each other themselves.
 */
export class RunRegistry<Report extends object, Result> {
  readonly #runs = new Map<string, Run<Report, Result>>();
  readonly #limit: number;
  readonly #wake: (key: string) => void;
  readonly #isShared: () => boolean;
  readonly #turnStateOf: (report: Report) => TurnState;
  readonly #now: () => number;
  readonly #line = new FairLine(namespaceOf, (key) => this.#waiting.get(key)?.turn);
  /** Of each key in the line: its turn, the place that it was told, and when. */
  readonly #waiting = new Map<string, { turn: string | undefined; place: number; at: number }>();

  constructor(options: RegistryOptions<Report>) {
    this.#limit = options.limit;
    this.#wake = options.wake;
    this.#isShared = options.isShared ?? (() => false);
    this.#turnStateOf = options.turnStateOf ?? (() => "held");
    this.#now = options.now ?? (() => performance.now());
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

  /**
   * The free slots that the key may take now, and its place in the line, from 1, if it has to wait; keys that wait for
   * their turn count in it. `behind`: the key for whose turn it waits, which runs or is about to.
   */
  slotFor(key: string, turn?: string): { freeSlots: number; place: number; behind?: string } {
    const inTurn = this.#inTurn();
    const told = this.#waiting.get(key);
    const isCurrent = told !== undefined && this.#now() - told.at < placeForMs;
    const place = isCurrent ? told.place : this.#line.placeOf(key);
    if (inTurn.includes(key)) return { freeSlots: 1, place };
    const behind = this.#holderOf(turn, key) ?? this.#rivalOf(turn, key, inTurn);
    if (behind !== undefined) return { freeSlots: 0, place, behind };
    if (this.#line.has(key)) return { freeSlots: 0, place };
    const namespace = namespaceOf(key);
    const ahead = inTurn.filter((other) => namespaceOf(other) === namespace).length;
    const free = this.#admits(namespace, ahead) ? this.freeSlots - inTurn.length : 0;
    return { freeSlots: Math.max(0, free), place };
  }

  /** Puts the key in the line, or keeps it there. `place`: the one of `slotFor`. */
  waitInLine(key: string, { place, turn }: { place: number; turn?: string | undefined }): void {
    const told = this.#waiting.get(key);
    const isCurrent = told !== undefined && this.#now() - told.at < placeForMs;
    // Another resource under the same key may have another turn. It gets a place of its own.
    if (told !== undefined && told.turn !== turn) this.leaveLine(key);
    this.#waiting.set(key, isCurrent ? { ...told, turn } : { turn, place, at: this.#now() });
    if (this.#line.has(key)) return;
    this.#line.add(key);
    // It overtakes the next of another namespace when its own has the next turn, and so far had no key for it.
    if (this.#inTurn().includes(key)) this.#wake(key);
  }

  /** Takes the key out of the line, and wakes the next when it was in turn. */
  leaveLine(key: string): void {
    this.#waiting.delete(key);
    if (this.#line.delete(key)) this.#wakeInTurn();
  }

  /** The keys in the line for which a slot is free. */
  #inTurn(): string[] {
    const free = this.freeSlots;
    if (free <= 0) return [];
    return this.#line.first(
      free,
      (namespace, before) => this.#admits(namespace, before),
      (key) => this.#holderOf(this.#waiting.get(key)?.turn, key) === undefined,
    );
  }

  /** The run that keeps the key from its turn. */
  #holderOf(turn: string | undefined, key: string): string | undefined {
    if (turn === undefined) return undefined;
    for (const [other, run] of this.#runs) {
      if (run.turn !== turn || other === key || !isActive(run)) continue;
      const state = this.#turnState(run);
      if (state === "held" || (state === "waits" && namespaceOf(other) === namespaceOf(key))) return other;
    }
    return undefined;
  }

  /** The first of these keys, which are about to run, that keeps the key from its turn. */
  #rivalOf(turn: string | undefined, key: string, inTurn: readonly string[]): string | undefined {
    if (turn === undefined) return undefined;
    const isRival = (other: string) =>
      this.#waiting.get(other)?.turn === turn && namespaceOf(other) === namespaceOf(key);
    return inTurn.find(isRival);
  }

  #turnState({ view }: Run<Report, Result>): TurnState {
    return view.state === "running" ? this.#turnStateOf(view.report) : "waits";
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
  reserve(
    key: string,
    { uid, attempt, turn }: { uid: string; attempt: number; turn?: string | undefined },
  ): boolean {
    const held = this.#runs.get(key);
    if (held !== undefined) return held.uid === uid && held.view.state === "reserved";
    if (this.slotFor(key, turn).freeSlots <= 0) return false;
    this.#line.serve(key);
    this.#waiting.delete(key);
    const view = { state: "reserved", attempt } as const;
    const controller = new AbortController();
    this.#runs.set(key, { uid, attempt, turn, view, controller, settled: Promise.resolve() });
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
      const before = this.#turnState(run);
      run.view = { state: "running", report };
      this.#wake(key);
      if (this.#turnState(run) !== before) this.#wakeInTurn();
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
