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

/** Says what happened to an object, for `kubectl describe` and `kubectl events`. */
export interface EventRecorder extends AsyncDisposable {
  /**
   * Never waits and never throws. The same event about the same object within ten minutes is counted, not written
   * again; an object with too many events has to wait; what cannot be written is logged.
   */
  record(event: RecordedEvent): void;
}

export interface RecorderOptions {
  log?: Log;
  /** This process: the pod's or the host's name. */
  instance?: string;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Writes about one object: so many at once, then one each so many milliseconds. */
  rate?: { burst: number; refillMs: number };
  /** Different events that are remembered at once. */
  most?: number;
  /** How long disposal may take to write the rest. */
  flushMs?: number;
}

/** Writes events until it is disposed of, which writes the rest first. */
export function createEventRecorder(
  client: Pick<KubeClient, "create" | "request">,
  options: RecorderOptions = {},
): EventRecorder {
  const { log = noLog, instance = process.env["POD_NAME"] ?? hostname(), now = Date.now } = options;
  const { rate = { burst: 25, refillMs: 60_000 }, flushMs = 5_000, most = 1_000 } = options;
  const store = new SeriesStore({ most });
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
      // Counted as written: one lost event must not be tried for ever.
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
    workers: 2,
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
