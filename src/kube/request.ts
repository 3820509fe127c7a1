import timers from "node:timers/promises";
import { OperatorError } from "../core/errors.ts";
import { backoffMs, halfJitter } from "../core/backoff.ts";
import type { Connection, HttpAnswer, HttpRequest } from "./connection.ts";
import {
  ApiStatusError,
  classifyConnection,
  classifyStatus,
  connectionCode,
  type CallName,
  callName,
} from "./errors.ts";

export interface RequestOptions {
  signal: AbortSignal;
}

/** One request to the API server and its answer. */
export interface ApiCall extends CallName {
  method: HttpRequest["method"];
  path: string;
  query?: Readonly<Record<string, string | undefined>>;
  accept?: string;
  /** Sent as JSON. */
  body?: unknown;
  contentType?: string;
  /** Repeating the call changes nothing more: it is tried again when it is unknown whether it took effect. */
  repeatable: boolean;
  timeoutMs?: number;
}

/** Makes a call and resolves to its decoded answer. Throws OperatorError. */
export type SendCall = (call: ApiCall, options: RequestOptions) => Promise<unknown>;

const attempts = 5;
const backoff = { baseMs: 250, maxMs: 8_000 };
const longestRetryAfterMs = 30_000;
const defaultTimeoutMs = 30_000;

/**
 * Makes the call and resolves to the decoded JSON, or to the text of another answer. 429, 5xx and broken connections
 * are tried again up to four times, a 401 once with credentials that were read again. Throws OperatorError, or the
 * reason of the signal.
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
      const waitMs = failures < attempts ? retryDelayMs(thrown, call, failures) : undefined;
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
 * The answer to a call whose body is read while it arrives. Never tried again. Throws OperatorError when the server
 * refuses; an error that breaks the body later is thrown as it is. It holds a connection until the signal fires.
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

/** Milliseconds before the next attempt; undefined when there must be none. */
function retryDelayMs(thrown: unknown, call: ApiCall, failures: number): number | undefined {
  const delayMs = halfJitter(backoffMs(failures, backoff));
  if (thrown instanceof ApiStatusError) {
    const retried = thrown.status === 429 || (thrown.status >= 500 && call.repeatable);
    return retried ? Math.min(thrown.retryAfterMs ?? delayMs, longestRetryAfterMs) : undefined;
  }
  switch (connectionCode(thrown)) {
    case "ECONNREFUSED":
    case "EAI_AGAIN":
      return delayMs;
    case "ECONNRESET":
    case "EPIPE":
    case "ETIMEDOUT":
      return call.repeatable ? delayMs : undefined;
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
    // The parser's error would quote the answer, which may be a Secret.
    throw new Error("the answer is declared as JSON and is not JSON");
  }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function timedOut(call: ApiCall): OperatorError {
  const seconds = (call.timeoutMs ?? defaultTimeoutMs) / 1000;
  return new OperatorError("Timeout", `${callName(call)}: no answer from the API server within ${seconds} s`);
}
