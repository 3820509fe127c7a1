import timers from "node:timers/promises";
import { OperatorError } from "../core/errors.ts";
import { backoffMs, halfJitter } from "../core/backoff.ts";
import type { Connection, HttpAnswer, HttpRequest } from "./connection.ts";
import {
  ApiStatusError,
  classifyConnection,
  classifyStatus,
  connectionCode,
  type Doing,
  describe,
} from "./errors.ts";

export interface RequestOptions {
  signal: AbortSignal;
}

/** One request to the API server and its answer. */
export interface ApiCall extends Doing {
  method: HttpRequest["method"];
  path: string;
  query?: Readonly<Record<string, string | undefined>>;
  accept?: string;
  /** Sent as JSON. */
  body?: unknown;
  contentType?: string;
  /** Doing it twice is the same as doing it once: it is tried again when it is unknown whether it was done. */
  repeatable: boolean;
  timeoutMs?: number;
}

/** Makes a call and resolves to its decoded answer. Throws OperatorError. */
export type SendCall = (call: ApiCall, options: RequestOptions) => Promise<unknown>;

const attempts = 5;
const pause = { baseMs: 250, maxMs: 8_000 };
const longestRetryAfterMs = 30_000;
const defaultTimeoutMs = 30_000;

/**
 * Makes the call and returns the decoded JSON (the text, where the answer is none). 429, 5xx and broken
 * connections are tried again a few times, a 401 once with fresh credentials. Throws OperatorError.
 */
export async function callApi(connection: Connection, call: ApiCall, signal: AbortSignal): Promise<unknown> {
  let reloaded = false;
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted();
    try {
      return await callOnce(connection, call, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof ApiStatusError && thrown.status === 401 && !reloaded) {
        reloaded = true;
        await connection.reload();
        continue;
      }
      const waitMs = failures < attempts ? pauseBefore(thrown, call, failures) : undefined;
      if (waitMs === undefined) {
        throw thrown instanceof ApiStatusError
          ? classifyStatus(thrown, call)
          : classifyConnection(thrown, call, connection.server);
      }
      await timers.setTimeout(waitMs, undefined, { signal });
    }
  }
}

/**
 * The head of the answer to a call whose body is read as it comes; never repeated. Throws OperatorError for a
 * refusal; what breaks the body later is thrown as it is. The signal has to fire to let go of the connection.
 */
export async function openStream(
  connection: Connection,
  call: ApiCall,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const head = new AbortController();
  const timer = setTimeout(() => head.abort(timedOut(call)), call.timeoutMs ?? defaultTimeoutMs);
  try {
    const answer = await connection.exchange(request(call), AbortSignal.any([signal, head.signal]));
    if (answer.status === 200) return answer;
    const refusal = await refusalOf(answer);
    if (refusal.status === 401) await connection.reload();
    throw refusal;
  } catch (thrown) {
    signal.throwIfAborted();
    head.signal.throwIfAborted();
    throw thrown instanceof ApiStatusError
      ? classifyStatus(thrown, call)
      : classifyConnection(thrown, call, connection.server);
  } finally {
    clearTimeout(timer);
  }
}

async function callOnce(connection: Connection, call: ApiCall, signal: AbortSignal): Promise<unknown> {
  const timeout = AbortSignal.timeout(call.timeoutMs ?? defaultTimeoutMs);
  try {
    const answer = await connection.exchange(request(call), AbortSignal.any([signal, timeout]));
    if (answer.status < 200 || answer.status > 299) throw await refusalOf(answer);
    return decode(answer, await textOf(answer.body));
  } catch (thrown) {
    if (timeout.aborted && !signal.aborted && !(thrown instanceof ApiStatusError)) throw timedOut(call);
    throw thrown;
  }
}

/** Milliseconds before the next try, or undefined when there should be none. */
function pauseBefore(thrown: unknown, call: ApiCall, failures: number): number | undefined {
  const usual = halfJitter(backoffMs(failures, pause));
  if (thrown instanceof ApiStatusError) {
    const again = thrown.status === 429 || (thrown.status >= 500 && call.repeatable);
    return again ? Math.min(thrown.retryAfterMs ?? usual, longestRetryAfterMs) : undefined;
  }
  switch (connectionCode(thrown)) {
    case "ECONNREFUSED":
    case "EAI_AGAIN":
      return usual;
    case "ECONNRESET":
    case "EPIPE":
    case "ETIMEDOUT":
      return call.repeatable ? usual : undefined;
    default:
      return undefined;
  }
}

function request(call: ApiCall): HttpRequest {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(key, value);
  const search = query.toString();
  const accept = { accept: call.accept ?? "application/json" };
  const path = search === "" ? call.path : `${call.path}?${search}`;
  if (call.body === undefined) return { method: call.method, path, headers: accept };
  const body = JSON.stringify(call.body);
  const headers = {
    ...accept,
    "content-type": call.contentType ?? "application/json",
    "content-length": String(Buffer.byteLength(body)),
  };
  return { method: call.method, path, headers, body };
}

async function refusalOf(answer: HttpAnswer): Promise<ApiStatusError> {
  const body = decode(answer, await textOf(answer.body));
  return new ApiStatusError(answer.status, body, answer.headers["retry-after"]);
}

function decode(answer: HttpAnswer, text: string): unknown {
  if (answer.headers["content-type"]?.includes("json") !== true) return text;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own error would quote the answer, which may be a Secret.
    throw new Error("the answer is not the JSON that it says it is");
  }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function timedOut(call: ApiCall): OperatorError {
  return new OperatorError("Timeout", `${describe(call)}: no answer from the API server in time`);
}
