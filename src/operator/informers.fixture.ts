import type { ChangeHandler } from "../kube/watch/cache.ts";
import type { Informer } from "./informers.ts";

/** An informer whose objects a test sets. */
export interface MemoryInformer<T> extends Informer<T> {
  set(key: string, object: T | undefined): void;
  /** Reports every object again, as a list does. */
  relist(): void;
}

export function memoryInformer<T>(): MemoryInformer<T> {
  const objects = new Map<string, T>();
  const handlers = new Set<ChangeHandler<T>>();
  const report = (key: string, object: T | undefined) => {
    for (const handler of handlers) handler(key, object);
  };
  return {
    synced: Promise.resolve(),
    list: () => [...objects.values()],
    onChange(handler) {
      handlers.add(handler);
      for (const [key, object] of objects) handler(key, object);
    },
    set(key, object) {
      if (object === undefined) objects.delete(key);
      else objects.set(key, object);
      report(key, object);
    },
    relist() {
      for (const [key, object] of objects) report(key, object);
    },
  };
}
