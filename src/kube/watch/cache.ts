import { OperatorError } from "../../core/errors.ts";
import { noLog } from "../../core/log.ts";
import { objectKey, type KubeObject, type ResourceKind } from "../objects.ts";
import { type WatchOptions, type WatchSource, watch } from "./watch.ts";

/** Called with the object as it is now, or undefined when it is gone. Must not wait and must not change the object. */
export type ChangeHandler<T> = (key: string, object: T | undefined) => void;

/** What a watch has seen, by key. Objects are shared: nobody changes them. */
export interface Cache<T> extends AsyncDisposable {
  /** Resolves when everything that was there at the start is in. Rejects with Aborted when it is stopped before. */
  readonly synced: Promise<void>;
  get(key: string): T | undefined;
  list(): T[];
  /** Reports what is there at once, then every change. Returns the way to stop. */
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
  // Nobody has to wait for it.
  synced.promise.catch(() => {});
  const closing = new AbortController();
  const signal = AbortSignal.any([options.signal, closing.signal]);

  function tell(handler: ChangeHandler<T>, key: string, object: T | undefined): void {
    try {
      handler(key, object);
    } catch (error) {
      log.error({ kind: kind.kind, key, err: error }, "a change handler failed");
    }
  }

  function put(key: string, object: T | undefined): void {
    if (object === undefined) objects.delete(key);
    else objects.set(key, object);
    for (const handler of handlers) tell(handler, key, object);
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
    synced.reject(new OperatorError("Aborted", `stopped before ${kind.plural} were read`));
  }

  const running = run();
  return {
    synced: synced.promise,
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    onChange(handler) {
      handlers.add(handler);
      for (const [key, object] of objects) tell(handler, key, object);
      return () => handlers.delete(handler);
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}
