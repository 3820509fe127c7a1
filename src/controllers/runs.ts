import { OperatorError, asOperatorError } from "../core/errors.ts";

export type RunView<Report, Result> =
  | { state: "none" }
  | { state: "running"; report: Report }
  | { state: "succeeded"; report: Report; result: Result }
  | { state: "failed"; report: Report; error: OperatorError };

interface Run<Report, Result> {
  uid: string;
  view: Exclude<RunView<Report, Result>, { state: "none" }>;
  controller: AbortController;
  settled: Promise<void>;
}

/**
 * The long work that this process does for resources, one run a key. An ended run is kept until the reconciler has
 * recorded its end and forgets it; what is lost with the process is found again in the store.
 */
export class Runs<Report extends object, Result> {
  readonly #runs = new Map<string, Run<Report, Result>>();
  readonly #limit: number;
  readonly #wake: (key: string) => void;

  /** `wake` is called with the key of a run that has ended, or whose report has changed. */
  constructor(options: { limit: number; wake: (key: string) => void }) {
    this.#limit = options.limit;
    this.#wake = options.wake;
  }

  get freeSlots(): number {
    return this.#limit - this.active;
  }

  get active(): number {
    return [...this.#runs.values()].filter((run) => run.view.state === "running").length;
  }

  /** Of the resource with this UID; another one's under the same key counts as none. */
  view(key: string, uid: string): RunView<Report, Result> {
    const run = this.#runs.get(key);
    return run?.uid === uid ? run.view : { state: "none" };
  }

  /** `work` reports by replacing what it changes; the signal fires when the run is cancelled. */
  start(
    options: { key: string; uid: string; report: Report },
    work: (report: (change: Partial<Report>) => void, signal: AbortSignal) => Promise<Result>,
  ): void {
    const { key, uid, report } = options;
    if (this.#runs.has(key)) throw new OperatorError("Internal", `a run for ${key} is under way`);
    const controller = new AbortController();
    const run: Run<Report, Result> = {
      uid,
      view: { state: "running", report },
      controller,
      settled: Promise.resolve(),
    };
    const update = (change: Partial<Report>) => {
      run.view.report = { ...run.view.report, ...change };
      this.#wake(key);
    };
    this.#runs.set(key, run);
    const settle = async (): Promise<void> => {
      try {
        const result = await work(update, controller.signal);
        run.view = { state: "succeeded", report: run.view.report, result };
      } catch (error) {
        run.view = { state: "failed", report: run.view.report, error: asOperatorError(error) };
      }
      this.#wake(key);
    };
    run.settled = settle();
  }

  /** Ends and forgets the run under this key; resolves when it has tidied up. */
  async cancel(key: string, why: string): Promise<void> {
    const run = this.#runs.get(key);
    if (run === undefined) return;
    run.controller.abort(new OperatorError("Aborted", why));
    await run.settled;
    if (this.#runs.get(key) === run) this.#runs.delete(key);
  }

  /** Drops an ended run once its end is recorded. */
  forget(key: string): void {
    if (this.#runs.get(key)?.view.state !== "running") this.#runs.delete(key);
  }

  async stopAll(why: string): Promise<void> {
    await Promise.all([...this.#runs.keys()].map((key) => this.cancel(key, why)));
  }
}
