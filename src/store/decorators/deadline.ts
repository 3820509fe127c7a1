import { OperatorError } from "../../core/errors.ts";
import { interruptible } from "../interruptible.ts";
import type { CallOptions, Store } from "../store.ts";

/**
 * The same store, whose calls end with Timeout when it stays silent: `probe`, `head`, `remove` and `sweep` after
 * `callMs` milliseconds, `list` and `get` when the next object or chunk takes longer. The time of the consumer does not
 * count. The end does not wait for the call: a file system that hangs ignores the signal. `put` is not bounded.
 */
export function withCallDeadline(store: Store, callMs: number): Store {
  return {
    ...store,
    probe: (options) => within(callMs, options, (signal) => store.probe({ ...options, signal })),
    head: (name, options) => within(callMs, options, (signal) => store.head(name, { ...options, signal })),
    remove: (name, options) =>
      within(callMs, options, (signal) => store.remove(name, { ...options, signal })),
    sweep: (prefix, options) =>
      within(callMs, options, (signal) => store.sweep(prefix, { ...options, signal })),
    list: (prefix, options) =>
      eachWithin(callMs, options, (signal) => store.list(prefix, { ...options, signal })),
    folders: (folder, options) =>
      eachWithin(callMs, options, (signal) => store.folders(folder, { ...options, signal })),
    get: (name, options) => eachWithin(callMs, options, (signal) => store.get(name, { ...options, signal })),
  };
}

/** A signal that fires with the caller's, or when `deadline` is rejected: `callMs` after the last `restart`. */
function deadlineOf(callMs: number, { signal }: CallOptions) {
  const controller = new AbortController();
  const { promise: expired, reject } = Promise.withResolvers<never>();
  // Only `within` races with it; without a race the rejection must not end the process.
  expired.catch(() => {});
  const expire = () => {
    const error = new OperatorError("Timeout", `the store did not answer within ${callMs / 1000} s`, {
      hint: "check the store's endpoint and the network policies",
    });
    controller.abort(error);
    reject(error);
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    signal: AbortSignal.any([signal, controller.signal]),
    expired,
    restart() {
      clearTimeout(timer);
      timer = setTimeout(expire, callMs);
    },
    stop: () => clearTimeout(timer),
  };
}

async function within<T>(
  callMs: number,
  options: CallOptions,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = deadlineOf(callMs, options);
  deadline.restart();
  try {
    return await Promise.race([call(deadline.signal), deadline.expired]);
  } finally {
    deadline.stop();
  }
}

async function* eachWithin<T>(
  callMs: number,
  options: CallOptions,
  call: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const deadline = deadlineOf(callMs, options);
  try {
    deadline.restart();
    for await (const item of interruptible(call(deadline.signal), deadline.signal)) {
      deadline.stop();
      yield item;
      deadline.restart();
    }
  } finally {
    deadline.stop();
  }
}
