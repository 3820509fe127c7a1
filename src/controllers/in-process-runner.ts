import { OperatorError, asOperatorError } from "../core/errors.ts";
import type { RunView, TurnState } from "../core/run-view.ts";
import type { Slots } from "./admission.ts";
import type { Perform, Runner } from "./runner.ts";

interface Run<Report, Result> {
  uid: string;
  attempt: number;
  view: Exclude<RunView<Report, Result>, { state: "none" }>;
  controller: AbortController;
  settled: Promise<void>;
}

export interface InProcessOptions<Work, Report, Result> {
  /** A run holds one from its reservation to its end. */
  slots: Slots;
  /** Called with the key of a run that has ended, or whose report has changed. */
  wake: (key: string) => void;
  /** Of a run that has a turn. Absent: it holds the turn until it ends. */
  turnStateOf?: (report: Report) => TurnState;
  /** The report of a run that begins. */
  firstReport: (work: Work) => Report;
  perform: Perform<Work, Report, Result>;
}

/** Executes runs in this process, and they end with it. The next process looks in the store for what this one stored. */
export class InProcessRunner<Work, Report extends object, Result> implements Runner<Work, Report, Result> {
  readonly #runs = new Map<string, Run<Report, Result>>();
  readonly #slots: Slots;
  readonly #wake: (key: string) => void;
  readonly #turnStateOf: (report: Report) => TurnState;
  readonly #firstReport: (work: Work) => Report;
  readonly #perform: Perform<Work, Report, Result>;

  constructor(options: InProcessOptions<Work, Report, Result>) {
    this.#slots = options.slots;
    this.#wake = options.wake;
    this.#turnStateOf = options.turnStateOf ?? (() => "held");
    this.#firstReport = options.firstReport;
    this.#perform = options.perform;
  }

  /** Whether this process holds a run of the key, in any state. */
  has(key: string): boolean {
    return this.#runs.has(key);
  }

  view(key: string, uid: string): RunView<Report, Result> {
    const run = this.#runs.get(key);
    return run?.uid === uid ? run.view : { state: "none" };
  }

  reserve(
    key: string,
    { uid, attempt, turn }: { uid: string; attempt: number; turn?: string | undefined },
  ): boolean {
    const known = this.#runs.get(key);
    if (known !== undefined) return known.uid === uid && known.view.state === "reserved";
    if (!this.#slots.take(key, turn)) return false;
    const view = { state: "reserved", attempt } as const;
    const controller = new AbortController();
    this.#runs.set(key, { uid, attempt, view, controller, settled: Promise.resolve() });
    return true;
  }

  start(key: string, work: Work): void {
    const run = this.#runs.get(key);
    if (run?.view.state !== "reserved") throw new OperatorError("Internal", `no run is reserved for ${key}`);
    let report = this.#firstReport(work);
    const update = (change: Partial<Report>) => {
      if (run.view.state !== "running") return;
      report = { ...report, ...change };
      run.view = { state: "running", report };
      this.#wake(key);
      this.#slots.setTurn(key, this.#turnStateOf(report));
    };
    const execute = async (): Promise<void> => {
      try {
        const result = await this.#perform(work, update, run.controller.signal);
        run.view = { state: "succeeded", report, result };
      } catch (error) {
        run.view = { state: "failed", report, error: asOperatorError(error) };
      }
      this.#wake(key);
      this.#slots.release(key);
    };
    run.view = { state: "running", report };
    this.#slots.setTurn(key, this.#turnStateOf(report));
    run.settled = execute();
  }

  async cancel(key: string, why: string): Promise<void> {
    const run = this.#runs.get(key);
    if (run === undefined) return;
    run.controller.abort(new OperatorError("Aborted", why));
    await run.settled;
    if (this.#runs.get(key) !== run) return;
    this.#runs.delete(key);
    this.#slots.release(key);
  }

  async cancelOthers(key: string, uid: string): Promise<void> {
    const run = this.#runs.get(key);
    if (run !== undefined && run.uid !== uid)
      await this.cancel(key, "another resource of the same name replaced this one");
  }

  forget(key: string): void {
    const run = this.#runs.get(key);
    if (run === undefined || run.view.state === "running") return;
    this.#runs.delete(key);
    this.#slots.release(key);
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
