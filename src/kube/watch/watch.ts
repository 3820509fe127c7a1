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
  /** Every object of a list has been reported: after the first list and after each later one. */
  | { type: "synced" };

export type WatchSource = Pick<KubeClient, "list" | "openWatch">;

export interface WatchOptions {
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
  signal: AbortSignal;
  log?: Log;
  /** The server ends each request after this (75); the next one continues. A dead connection is noticed after it. */
  timeoutSeconds?: number;
  /** A connection without a byte for `timeoutSeconds` plus this (15,000) counts as dead. */
  marginMs?: number;
  backoff?: { baseMs: number; maxMs: number };
  /**
   * After this time without an event or a bookmark, which comes about every minute, the watch that ends is followed by
   * a list (150,000): an etcd restored to an earlier revision sends nothing to a watch from a later revision.
   */
  silenceMs?: number;
}

/** A connection that breaks after more than this resets the number of failures in a row. */
const stableMs = 10_000;
/** After so many failures in a row the watch starts again with a list. */
const failuresBeforeList = 4;

/**
 * The state of all objects of a kind and every later change. Ends only when the signal fires, without an error. A list
 * comes first, then a watch continues from its resourceVersion. A watch that breaks is opened again where it broke;
 * when the server no longer has that resourceVersion, a new list reports deleted objects as `gone`. An object may be
 * reported again unchanged, and several changes may be reported as one; the last state is always reported. Resource
 * versions are not compared by size: they are opaque, and go backwards when an etcd is restored.
 */
export async function* watch<T extends KubeObject>(
  source: WatchSource,
  kind: ResourceKind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>, void> {
  const { signal, log = noLog, backoff = { baseMs: 500, maxMs: 30_000 }, silenceMs = 150_000 } = options;
  const known = new Map<string, T>();
  let resourceVersion: string | undefined;
  let failures = 0;
  let lastLineAt = performance.now();
  while (!signal.aborted) {
    let openedAt = Number.POSITIVE_INFINITY;
    let received = false;
    try {
      if (resourceVersion === undefined) {
        const listed = await source.list(kind, options);
        for (const event of differences(known, listed.items)) yield event;
        yield { type: "synced" };
        resourceVersion = listed.resourceVersion;
        lastLineAt = performance.now();
      }
      openedAt = performance.now();
      for await (const line of openLines(source, kind, options, resourceVersion)) {
        received = true;
        lastLineAt = performance.now();
        failures = 0;
        if (line.type !== "BOOKMARK") yield* changes(known, line.type === "DELETED", line.object);
        resourceVersion =
          line.type === "BOOKMARK" ? line.resourceVersion : line.object.metadata.resourceVersion;
      }
      failures = 0;
      log.debug({ kind: kind.kind, place: resourceVersion }, "the watch ended and is opened again");
      if (performance.now() - lastLineAt > silenceMs) resourceVersion = undefined;
      // A server that closes each watch at once would make this a busy loop.
      if (!received) await pause(signal, backoff.baseMs);
    } catch (thrown) {
      if (signal.aborted) return;
      failures = performance.now() - openedAt > stableMs ? 1 : failures + 1;
      if (isExpired(thrown) || failures % failuresBeforeList === 0) resourceVersion = undefined;
      const waitMs = isExpired(thrown) && failures === 1 ? 0 : halfJitter(backoffMs(failures, backoff));
      logFailure(log, kind, thrown, { failures, waitMs: Math.round(waitMs) });
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

/** The events of a complete list. Every object is reported: it may have changed under the same resourceVersion. */
function* differences<T extends KubeObject>(
  known: Map<string, T>,
  items: readonly T[],
): Generator<WatchEvent<T>> {
  const present = new Set(items.map((item) => objectKey(item.metadata)));
  for (const [key, object] of known) if (!present.has(key)) yield* changes(known, true, object);
  for (const item of items) yield* changes(known, false, item);
}

/** The events of one object. An object with another UID replaces the one before, which is reported as gone. */
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

function logFailure(
  log: Log,
  kind: ResourceKind<KubeObject>,
  thrown: unknown,
  fields: { failures: number; waitMs: number },
) {
  const call = { verb: "watch", resource: resourceName(kind) };
  const error =
    thrown instanceof ApiStatusError ? classifyStatus(thrown, call) : classifyConnection(thrown, call);
  const logged = { kind: kind.kind, code: error.code, error: error.message, ...fields };
  if (isExpired(thrown)) log.info(logged, "the watch fell behind and starts again with a list");
  else log.warn(logged, "the watch broke and will be opened again");
}

async function pause(signal: AbortSignal, ms: number): Promise<void> {
  // An abort ends the pause; the loop checks the signal.
  await timers.setTimeout(ms, undefined, { signal }).catch(() => {});
}
