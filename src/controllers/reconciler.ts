import { asOperatorError } from "../core/errors.ts";

/** The object to look at. Never the event that brought it up: what to do follows from what is there now. */
export interface Request {
  namespace: string;
  name: string;
}

/** Resolves to the milliseconds after which to look again, or to nothing. Throws when it should be tried again with backoff. */
export type Reconcile = (
  request: Request,
  signal: AbortSignal,
) => Promise<{ againAfterMs: number } | undefined>;

export interface WorkQueue {
  addAfter(key: string, ms: number): void;
  addRateLimited(key: string): void;
  forget(key: string): void;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ControllerDeps {
  kind: string;
  queue: WorkQueue;
  reconcile: Reconcile;
  log: Log;
  /** Told of each pass: how it ended, and its seconds. */
  observe: (result: "success" | "requeue_after" | "error", seconds: number) => void;
}

/** What the queue does with each key: the whole of a controller's control flow. */
export function worker({
  kind,
  queue,
  reconcile,
  log,
  observe,
}: ControllerDeps): (key: string, signal: AbortSignal) => Promise<void> {
  return async (key, signal) => {
    const began = performance.now();
    const done = (result: Parameters<typeof observe>[0]) =>
      observe(result, (performance.now() - began) / 1000);
    try {
      const result = await reconcile(requestOf(key), signal);
      queue.forget(key);
      if (result !== undefined) queue.addAfter(key, result.againAfterMs);
      done(result === undefined ? "success" : "requeue_after");
    } catch (thrown) {
      if (signal.aborted) return;
      const error = asOperatorError(thrown);
      done("error");
      log[error.code === "Internal" ? "error" : "warn"](
        { kind, key, code: error.code, err: error },
        "reconcile failed; it will be tried again",
      );
      queue.addRateLimited(key);
    }
  };
}

export function keyOf({ namespace, name }: { namespace?: string; name: string }): string {
  return `${namespace ?? ""}/${name}`;
}

export function requestOf(key: string): Request {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
