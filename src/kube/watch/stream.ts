import { OperatorError } from "../../core/errors.ts";
import { isRecord } from "../../core/record.ts";
import { ApiStatusError } from "../errors.ts";
import type { KubeObject } from "../objects.ts";

/** One line of a watch: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes */
export type WatchLine<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: T }
  | { type: "BOOKMARK"; resourceVersion: string };

/** Bytes; far more than the largest object that etcd accepts. */
const longestLine = 64 * 1024 * 1024;

/** Cuts bytes into lines. Bytes after the last newline are an incomplete line and are dropped. */
export async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, end)]).toString("utf8");
      rest = [];
      length = 0;
      from = end + 1;
      if (line !== "") yield line;
    }
    rest.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > longestLine) throw malformed("a line of more than 64 MiB");
  }
}

/** Throws ApiStatusError for an ERROR event, and Unreachable for a line that is not a watch event. */
export function decodeLine<T extends KubeObject>(line: string): WatchLine<T> {
  const { type, object } = parse(line);
  if (!isRecord(object)) throw malformed("an event without an object");
  if (type === "ERROR") throw new ApiStatusError(Number(object["code"] ?? 500), object);
  const metadata = object["metadata"];
  if (!isRecord(metadata) || typeof metadata["resourceVersion"] !== "string") {
    throw malformed("an object without a resourceVersion");
  }
  switch (type) {
    case "BOOKMARK":
      return { type, resourceVersion: metadata["resourceVersion"] };
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      if (typeof metadata["name"] !== "string") throw malformed("an object without a name");
      return { type, object: object as unknown as T };
    default:
      throw malformed("an event of an unknown type");
  }
}

/** The same bytes. Throws Timeout when the next chunk takes longer than `idleMs`, without the time of the consumer. */
export async function* withIdleTimeout(
  chunks: AsyncIterable<Uint8Array>,
  idleMs: number,
): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await within(iterator.next(), idleMs);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a generator that waits for its next chunk does not return before it.
    iterator.return?.()?.catch(() => {});
  }
}

async function within<R>(promise: Promise<R>, ms: number): Promise<R> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new OperatorError("Timeout", `no data for ${ms / 1000} s`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function parse(line: string): Record<string, unknown> {
  try {
    const event: unknown = JSON.parse(line);
    if (isRecord(event)) return event;
  } catch {
    // Not JSON: malformed as well.
  }
  throw malformed("a line that is not a JSON object");
}

function malformed(what: string): OperatorError {
  return new OperatorError("Unreachable", `the watch stream is broken: ${what}`);
}
