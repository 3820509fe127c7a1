import type { RunView } from "../core/run-view.ts";

/** Does the work of one run. `report` takes the fields that changed; the signal fires when the run is cancelled. */
export type Perform<Work, Report, Result> = (
  work: Work,
  report: (change: Partial<Report>) => void,
  signal: AbortSignal,
) => Promise<Result>;

/**
 * Executes the long-running work for resources, at most one run a key. A run is finite: it is reserved, started, and
 * ends with a result or an error. A runner lives for one term of leadership; `runner.contract.ts` is its contract.
 *
 * A run is reserved, with a slot, before its attempt is written to status. So the limit holds, and the attempt in status
 * is the one that runs. An ended run is kept until the reconciler has recorded its end and forgets it.
 *
 * `Work` is data that can be handed to another process. A runner wakes the key when the run ends or its report changes.
 */
export interface Runner<Work, Report, Result> {
  /**
   * The run of the resource with this UID. A run of another resource under the same key counts as none. A view shows at
   * least what the earlier calls of this process did: after a stale `none` the data of a live attempt would be deleted.
   */
  view(key: string, uid: string): RunView<Report, Result> | Promise<RunView<Report, Result>>;
  /**
   * Reserves a run for an attempt; false when no slot is free, or the key has a run that is more than reserved.
   * A reservation that exists is kept. `turn`: see Admission.
   */
  reserve(key: string, reservation: { uid: string; attempt: number; turn?: string | undefined }): boolean;
  /** Starts the reserved run. Throws Internal when none is reserved. */
  start(key: string, work: Work): void | Promise<void>;
  /** Cancels and forgets the run under this key. Resolves when its work has cleaned up. */
  cancel(key: string, why: string): Promise<void>;
  /** Cancels and forgets the run of an earlier resource under the same key. */
  cancelOthers(key: string, uid: string): Promise<void>;
  /** Drops an ended run once its end is recorded. A reservation is given up, and a run that is running is kept. */
  forget(key: string): void | Promise<void>;
}
