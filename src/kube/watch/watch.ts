import timers from "node:timers/promises";
import { backoffMs, halfJitter } from "../../core/backoff.ts";
import type { KubeClient } from "../client.ts";
import { ApiStatusError, classifyConnection, classifyStatus, isExpired } from "../errors.ts";
import { type Log, noLog } from "../../core/log.ts";
import { objectKey, type KubeObject, type ResourceKind, resourceName } from "../objects.ts";
import { decodeLine, lines, withIdleTimeout } from "./stream.ts";

export type WatchEvent<T> =
  | { type: "set"; object: T }
  | { type: "gone"; object: T }
  /** Everything that was there at one moment has been reported: after the first list and each later one. */
  | { type: "synced" };

export type WatchSource = Pick<KubeClient, "list" | "openWatch">;

export interface WatchOptions {
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
  signal: AbortSignal;
  log?: Log;
  /** Each request ends after this (75); the stream goes on with the next. So long may a dead connection go unnoticed. */
  timeoutSeconds?: number;
  /** A connection without a byte for `timeoutSeconds` and this is taken for dead. */
  marginMs?: number;
  backoff?: { baseMs: number; maxMs: number };
  /**
   * When nothing was heard for longer than this, not even a bookmark (one comes about every minute), a list follows the
   * watch that ends: an etcd that was restored to an earlier revision is silent to a watch from its future.
   */
  silenceMs?: number;
}

/** A connection that broke later than this is not counted as another failure in a row. */
const livedMs = 10_000;
/** What fails so often in a row begins anew with a list. */
const failuresBeforeList = 4;

/**
 * The state of all objects of a kind and every later change, for ever: ends (without an error) only when the signal
 * fires. A list comes first, then a watch goes on from there; whatever breaks is taken up where it broke, and when the
 * server no longer has that place, a new list says `gone` for what vanished meanwhile. An object may be reported again
 * unchanged; several changes may be reported as one; the last state is never missed. Resource versions are never
 * compared by size: they are opaque, and go backwards when an etcd is restored.
 */
export async function* watch<T extends KubeObject>(
  source: WatchSource,
  kind: ResourceKind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>, void> {
  const { signal, log = noLog, backoff = { baseMs: 500, maxMs: 30_000 }, silenceMs = 150_000 } = options;
  const known = new Map<string, T>();
  let place: string | undefined;
  let failures = 0;
  let heardAt = performance.now();
  while (!signal.aborted) {
    let opened = Number.POSITIVE_INFINITY;
    let heard = false;
    try {
      if (place === undefined) {
        const listed = await source.list(kind, options);
        for (const event of differences(known, listed.items)) yield event;
        yield { type: "synced" };
        place = listed.resourceVersion;
        heardAt = performance.now();
      }
      opened = performance.now();
      for await (const line of openLines(source, kind, options, place)) {
        heard = true;
        heardAt = performance.now();
        failures = 0;
        if (line.type !== "BOOKMARK") yield* changes(known, line.type === "DELETED", line.object);
        place = line.type === "BOOKMARK" ? line.resourceVersion : line.object.metadata.resourceVersion;
      }
      failures = 0;
      log.debug({ kind: kind.kind, place }, "the watch ended and goes on");
      if (performance.now() - heardAt > silenceMs) place = undefined;
      // A server that closes at once must not be asked in a busy loop.
      if (!heard) await pause(signal, backoff.baseMs);
    } catch (thrown) {
      if (signal.aborted) return;
      failures = performance.now() - opened > livedMs ? 1 : failures + 1;
      if (isExpired(thrown) || failures % failuresBeforeList === 0) place = undefined;
      const waitMs = isExpired(thrown) && failures === 1 ? 0 : halfJitter(backoffMs(failures, backoff));
      report(log, kind, thrown, { failures, waitMs: Math.round(waitMs) });
      await pause(signal, waitMs);
    }
  }
}

async function* openLines<T extends KubeObject>(
  source: WatchSource,
  kind: ResourceKind<T>,
  options: WatchOptions,
  resourceVersion: string,
) {
  const { timeoutSeconds = 75, marginMs = 15_000 } = options;
  const closing = new AbortController();
  const signal = AbortSignal.any([options.signal, closing.signal]);
  try {
    const body = await source.openWatch(kind, { ...options, resourceVersion, timeoutSeconds, signal });
    for await (const line of lines(withIdleTimeout(body, timeoutSeconds * 1000 + marginMs))) {
      yield decodeLine<T>(line);
    }
  } finally {
    closing.abort();
  }
}

/** What a complete list changes: every object is reported, for one may have changed under the same version. */
function* differences<T extends KubeObject>(
  known: Map<string, T>,
  items: readonly T[],
): Generator<WatchEvent<T>> {
  const present = new Set(items.map((item) => objectKey(item.metadata)));
  for (const [key, object] of known) if (!present.has(key)) yield* changes(known, true, object);
  for (const item of items) yield* changes(known, false, item);
}

/** Another object under the same name is the end of the one before. */
function* changes<T extends KubeObject>(
  known: Map<string, T>,
  gone: boolean,
  object: T,
): Generator<WatchEvent<T>> {
  const key = objectKey(object.metadata);
  const before = known.get(key);
  if (gone) {
    known.delete(key);
    yield { type: "gone", object };
    return;
  }
  if (before !== undefined && before.metadata.uid !== object.metadata.uid)
    yield { type: "gone", object: before };
  known.set(key, object);
  yield { type: "set", object };
}

function report(
  log: Log,
  kind: ResourceKind<KubeObject>,
  thrown: unknown,
  fields: { failures: number; waitMs: number },
) {
  const doing = { verb: "watch", resource: resourceName(kind) };
  const error =
    thrown instanceof ApiStatusError ? classifyStatus(thrown, doing) : classifyConnection(thrown, doing);
  const all = { kind: kind.kind, code: error.code, error: error.message, ...fields };
  if (isExpired(thrown)) log.info(all, "the watch fell behind and begins anew");
  else log.warn(all, "the watch broke and will be taken up again");
}

async function pause(signal: AbortSignal, ms: number): Promise<void> {
  // An abort ends the pause; the loop sees it.
  await timers.setTimeout(ms, undefined, { signal }).catch(() => {});
}
