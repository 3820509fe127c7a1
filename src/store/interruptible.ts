import { OperatorError, asOperatorError } from "../core/errors.ts";

/** The error to throw after `signal` fired: its reason when that is an OperatorError, else Timeout or Aborted. */
export function abortError(signal: AbortSignal): OperatorError {
  const error = asOperatorError(signal.reason);
  if (error.code !== "Internal" || error === signal.reason) return error;
  return new OperatorError("Aborted", "stopped before it was finished", { cause: signal.reason });
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortError(signal);
}

/**
 * Yields what `source` yields. When `signal` fires it throws at once, even while the source yields nothing. The source
 * is ended in every case. While it is asked for a chunk its end is not awaited: that chunk may never come.
 */
export async function* interruptible<T>(
  source: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator: AsyncIterator<T> | Iterator<T> =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let interrupt: (() => void) | undefined;
  const onAbort = () => interrupt?.();
  signal.addEventListener("abort", onAbort);
  let state: "idle" | "asked" | "ended" = "idle";
  try {
    for (;;) {
      throwIfAborted(signal);
      state = "asked";
      // One promise a step: a race with one long-lived promise would keep the reactions of all steps in memory.
      const step = await new Promise<IteratorResult<T>>((resolve, reject) => {
        interrupt = () => reject(abortError(signal));
        Promise.resolve(iterator.next()).then(resolve, (error: unknown) => {
          state = "ended";
          reject(error);
        });
      });
      state = step.done === true ? "ended" : "idle";
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (state !== "ended") await end(iterator, state === "idle" && !signal.aborted);
  }
}

async function end(iterator: AsyncIterator<unknown> | Iterator<unknown>, wait: boolean): Promise<void> {
  const ended = Promise.resolve(iterator.return?.()).catch(() => {});
  if (wait) await ended;
}

/** A signal that fires `graceMs` after `signal`, for a request whose outcome must be known before it can be undone. */
export function lingering(
  signal: AbortSignal,
  graceMs: number,
): { readonly signal: AbortSignal; [Symbol.dispose](): void } {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    timer = setTimeout(() => late.abort(signal.reason), graceMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return {
    signal: late.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    },
  };
}
