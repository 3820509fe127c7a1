import { hostname } from "node:os";
import { asOperatorError } from "../../core/errors.ts";
import type { KubeClient } from "../client.ts";
import { type EventText, SeriesStore } from "./series.ts";
import { writeSeries } from "./writer.ts";
import { type Log, noLog } from "../../core/log.ts";
import type { KubeObject } from "../objects.ts";
import { KeyedQueue } from "../queue.ts";
import { TokenBuckets } from "./token-buckets.ts";

export interface RecordedEvent extends EventText {
  regarding: Pick<KubeObject, "apiVersion" | "kind" | "metadata">;
}

/** Records what happened to an object, for `kubectl describe` and `kubectl events`. */
export interface EventRecorder extends AsyncDisposable {
  /**
   * Never blocks and never throws. The same event about the same object within ten minutes is counted, not written
   * again. Events of one object beyond its rate are delayed. An event that cannot be written is logged.
   */
  record(event: RecordedEvent): void;
}

export interface RecorderOptions {
  log?: Log;
  /** The name of this process: that of the pod, else of the host. */
  instance?: string;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Writes about one object: `burst` at once (25), then one every `refillMs` (60,000). */
  rate?: { burst: number; refillMs: number };
  /** Series that are kept at once (10,000). */
  maxSeries?: number;
  /** Milliseconds for the writes at disposal (5,000). */
  flushMs?: number;
}

/** Writes events until it is disposed of. Disposal first writes those that are still unwritten. */
export function createEventRecorder(
  client: Pick<KubeClient, "create" | "request">,
  options: RecorderOptions = {},
): EventRecorder {
  const { log = noLog, instance = process.env["POD_NAME"] ?? hostname(), now = Date.now } = options;
  const { rate = { burst: 25, refillMs: 60_000 }, flushMs = 5_000, maxSeries } = options;
  const store = new SeriesStore(maxSeries === undefined ? {} : { maxSeries });
  const buckets = new TokenBuckets(rate);
  const queue = new KeyedQueue();
  const stopping = new AbortController();
  const writing = new AbortController();

  async function write(key: string, limited: boolean): Promise<void> {
    const series = store.get(key);
    if (series === undefined || series.written >= series.count) return;
    const waitMs = limited ? buckets.take(series.regarding.uid, now()) : 0;
    if (waitMs > 0) {
      queue.addAfter(key, waitMs);
      return;
    }
    try {
      await writeSeries(client, series, instance, { signal: writing.signal });
    } catch (thrown) {
      // Counted as written: an event that the server refuses must not be tried again without end.
      series.written = series.count;
      const { code, message } = asOperatorError(thrown);
      const { reason, note } = series.text;
      log.warn(
        { code, error: message, object: series.regarding.name, reason, note },
        "an event was not written",
      );
    }
  }

  const running = queue.run({
    workers: 4,
    process: (key) => write(key, true),
    onError: (_key, error) => log.error({ err: error }, "the event recorder failed"),
    signal: stopping.signal,
  });

  return {
    record({ regarding, type, reason, action, note }) {
      const { namespace, name, uid } = regarding.metadata;
      const where = namespace === undefined ? {} : { namespace };
      const object = { apiVersion: regarding.apiVersion, kind: regarding.kind, ...where, name, uid };
      const series = store.count(object, { type, reason, action, note }, now());
      if (series === undefined)
        log.warn({ object: name, reason, note }, "too many events: one was not written");
      else queue.add(series.key);
    },
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => writing.abort(), flushMs);
      stopping.abort();
      await running;
      await Promise.all(store.unwritten().map((series) => write(series.key, false)));
      clearTimeout(timer);
    },
  };
}
