import { OperatorError } from "../../core/errors.ts";
import { noLog } from "../../core/log.ts";
import { objectKey, type KubeObject, type ResourceKind } from "../objects.ts";
import { type WatchOptions, type WatchSource, watch } from "./watch.ts";

/** Called with the current object, or undefined when it was deleted. Must not block and must not change the object. */
export type ChangeHandler<T> = (key: string, object: T | undefined) => void;

/** The objects of a watch, by key. They are shared and must not be changed. */
export interface Cache<T> extends AsyncDisposable {
  /** Resolves when the cache holds every object of the first list. Rejects with Aborted when it is stopped before. */
  readonly synced: Promise<void>;
  get(key: string): T | undefined;
  list(): T[];
  /** Calls the handler for every object that is cached, then for every change. Returns a function that ends this. */
  onChange(handler: ChangeHandler<T>): () => void;
}

/** Fills a cache until the signal fires or it is disposed of. */
export function startCache<T extends KubeObject>(
  source: WatchSource,
  kind: ResourceKind<T>,
  options: WatchOptions,
): Cache<T> {
  const { log = noLog } = options;
  const objects = new Map<string, T>();
  const handlers = new Set<ChangeHandler<T>>();
  const synced = Promise.withResolvers<void>();
  // A rejection that no caller waits for must not end the process.
  synced.promise.catch(() => {});
  const closing = new AbortController();
  const signal = AbortSignal.any([options.signal, closing.signal]);

  function call(handler: ChangeHandler<T>, key: string, object: T | undefined): void {
    try {
      handler(key, object);
    } catch (error) {
      log.error({ kind: kind.kind, key, err: error }, "a change handler failed");
    }
  }

  function put(key: string, object: T | undefined): void {
    if (object === undefined) objects.delete(key);
    else objects.set(key, object);
    for (const handler of handlers) call(handler, key, object);
  }

  async function run(): Promise<void> {
    for await (const event of watch(source, kind, { ...options, signal })) {
      switch (event.type) {
        case "set":
          put(objectKey(event.object.metadata), event.object);
          break;
        case "gone":
          put(objectKey(event.object.metadata), undefined);
          break;
        case "synced":
          synced.resolve();
          break;
        default:
          event satisfies never;
      }
    }
    synced.reject(
      new OperatorError("Aborted", `stopped before the first list of ${kind.plural} was complete`),
    );
  }

  const running = run();
  return {
    synced: synced.promise,
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    onChange(handler) {
      handlers.add(handler);
      for (const [key, object] of objects) call(handler, key, object);
      return () => handlers.delete(handler);
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}
