import type { Store } from "../store.ts";

/** Throws once this process may no longer change anything. */
export interface WriteFence {
  check(): void;
}

/**
 * The same store, written only while the fence is open. An object becomes visible only if the fence is still open at
 * its last byte. Reads are not fenced.
 */
export function fencedStore(store: Store, fence: WriteFence): Store {
  return {
    ...store,
    async probe(options) {
      fence.check();
      return store.probe(options);
    },
    async put(name, source, options) {
      fence.check();
      return store.put(name, checkedAtEnd(source, fence), options);
    },
    async remove(name, options) {
      fence.check();
      return store.remove(name, options);
    },
    async sweep(prefix, options) {
      fence.check();
      return store.sweep(prefix, options);
    },
  };
}

async function* checkedAtEnd(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  fence: WriteFence,
): AsyncGenerator<Uint8Array> {
  yield* source;
  fence.check();
}
