import type { Store } from "../../store/store.ts";

/** Reads of a store that is opened with the first of them, and closed with the reader. */
export function lazyReader(
  open: (signal: AbortSignal) => Promise<Store>,
): Pick<Store, "get" | "list"> & AsyncDisposable {
  let opened: Promise<Store> | undefined;
  return {
    async *get(name, options) {
      opened ??= open(options.signal);
      yield* (await opened).get(name, options);
    },
    async *list(prefix, options) {
      opened ??= open(options.signal);
      yield* (await opened).list(prefix, options);
    },
    async [Symbol.asyncDispose]() {
      const store = await opened?.catch(() => undefined);
      await store?.[Symbol.asyncDispose]();
    },
  };
}
