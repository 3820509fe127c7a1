import type { Exit, RunningProcess } from "../harness/process.ts";
import { within } from "./eventually.ts";

/** Resolves with `event`. Throws with the process's output when the process exits before. */
export async function during<T>(process: RunningProcess, event: Promise<T>): Promise<T> {
  const exited = process.exited.then(({ code, signal }) => {
    throw new Error(
      `the process exited too early, with ${signal ?? `exit code ${code}`}:\n${process.output()}`,
    );
  });
  return Promise.race([event, exited]);
}

/** How the process exits. Throws with its output when it still runs after `seconds`. */
export async function exitOf(process: RunningProcess, seconds = 120): Promise<Exit> {
  return within("the exit of the process", process.exited, seconds).catch((error: unknown) => {
    throw new Error(`${String(error)}; its output:\n${process.output()}`, { cause: error });
  });
}
