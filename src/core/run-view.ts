import type { OperatorError } from "./errors.ts";

/** Whether a run waits for its turn at what it works on, holds the turn, or needs it no more. */
export type TurnState = "waits" | "held" | "over";

/**
 * The long-running work of this process for one object. Reserved: its attempt stands in status, or may stand there, and
 * has not begun.
 */
export type RunView<Report, Result> =
  | { state: "none" }
  | { state: "reserved"; attempt: number }
  | { state: "running"; report: Report }
  | { state: "succeeded"; report: Report; result: Result }
  | { state: "failed"; report: Report; error: OperatorError };
