import { asOperatorError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";

/** The object to reconcile. It carries no event: the next action follows from what can be observed now. */
export interface Request {
  namespace: string;
  name: string;
}

/** When to reconcile again: after so many milliseconds, or at the next change of the object. */
export type Result = { againAfterMs: number } | undefined;

/** Reconciles one object. A throw means: try again with backoff. */
export type Reconcile = (request: Request, signal: AbortSignal) => Promise<Result>;

export interface WorkQueue {
  addAfter(key: string, ms: number): void;
  addRateLimited(key: string): void;
  forget(key: string): void;
}

export interface ReconcilerDeps {
  kind: string;
  queue: WorkQueue;
  reconcile: Reconcile;
  log: Log;
  /** Called with the result of each pass and its duration in seconds. */
  observe: (result: "success" | "requeue_after" | "error", seconds: number) => void;
}

/** What a worker of the queue does with each key: reconcile, and requeue by the result. */
export function reconciler({
  kind,
  queue,
  reconcile,
  log,
  observe,
}: ReconcilerDeps): (key: string, signal: AbortSignal) => Promise<void> {
  return async (key, signal) => {
    const startedAt = performance.now();
    const record = (result: Parameters<typeof observe>[0]) =>
      observe(result, (performance.now() - startedAt) / 1000);
    try {
      const result = await reconcile(requestOf(key), signal);
      queue.forget(key);
      if (result !== undefined) queue.addAfter(key, result.againAfterMs);
      record(result === undefined ? "success" : "requeue_after");
    } catch (thrown) {
      if (signal.aborted) return;
      const error = asOperatorError(thrown);
      record("error");
      log[error.code === "Internal" ? "error" : "warn"](
        { kind, key, code: error.code, err: error },
        "reconcile failed and will be tried again",
      );
      queue.addRateLimited(key);
    }
  };
}

/** The key of a namespaced object in a queue. */
export function keyOf({ namespace, name }: { namespace?: string; name: string }): string {
  return `${namespace ?? ""}/${name}`;
}

export function requestOf(key: string): Request {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
