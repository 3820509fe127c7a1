import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer, request as sendRequest } from "node:http";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { close, listen } from "./listen.ts";

/** A request to the S3 server, as the proxy has received it. */
export interface S3Request {
  operation: "Put" | "Create" | "Part" | "Complete" | "Abort" | "Head" | "Get" | "List" | "Delete" | "Other";
  /** Path and query, not decoded. */
  url: string;
  headers: IncomingMessage["headers"];
  /** Number of this request among those of its operation, from 1. */
  count: number;
  /** The client has got its answer or never will. */
  ended: boolean;
}

/** What the proxy does to a request or its answer. Without a fault it forwards both. */
export type S3Fault =
  | { do: "answer"; status: number; code: string; headers?: Record<string, string> }
  /** The connection is reset before the server gets the request. */
  | { do: "reset" }
  /** The connection breaks when the server has got this many bytes of the request. */
  | { do: "cutRequest"; after: number }
  /** The server executes the request, and the client's connection is reset instead of an answer. */
  | { do: "loseAnswer" }
  | { do: "cutAnswer"; after: number }
  | { do: "flipRequest" }
  | { do: "flipAnswer" }
  | { do: "alterAnswer"; headers: Record<string, string | undefined> };

export interface S3FaultProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Every request, in order. A test may empty the list; the numbers of requests then begin anew. */
  readonly seen: S3Request[];
  /** Called for each request: the request waits for the result. */
  fault: (request: S3Request) => S3Fault | undefined | Promise<S3Fault | undefined>;
}

/** An HTTP proxy in front of an S3 server that injects faults. */
export async function startS3FaultProxy(target: string): Promise<S3FaultProxy> {
  const seen: S3Request[] = [];
  const proxy: Pick<S3FaultProxy, "seen" | "fault"> = { seen, fault: () => undefined };
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const operation = operationOf(request);
    const count = seen.filter((earlier) => earlier.operation === operation).length + 1;
    const noted: S3Request = {
      operation,
      url: request.url ?? "",
      headers: request.headers,
      count,
      ended: false,
    };
    seen.push(noted);
    try {
      await forward(target, request, response, await proxy.fault(noted));
    } finally {
      noted.ended = true;
    }
  }
  const port = await listen(server);
  return Object.assign(proxy, {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await close(server);
    },
  });
}

function operationOf({ method, url = "" }: IncomingMessage): S3Request["operation"] {
  const query = new URL(url, "http://store").searchParams;
  switch (method) {
    case "PUT":
      return query.has("partNumber") ? "Part" : "Put";
    case "POST":
      return query.has("uploads") ? "Create" : query.has("uploadId") ? "Complete" : "Other";
    case "DELETE":
      return query.has("uploadId") ? "Abort" : "Delete";
    case "HEAD":
      return "Head";
    case "GET":
      return query.has("list-type") ? "List" : query.has("x-id") ? "Get" : "Other";
    default:
      return "Other";
  }
}

async function forward(
  target: string,
  request: IncomingMessage,
  response: ServerResponse,
  fault: S3Fault | undefined,
): Promise<void> {
  if (fault?.do === "reset") {
    request.socket.resetAndDestroy();
    return;
  }
  if (fault?.do === "answer") {
    request.resume();
    const body = `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>injected by the test</Message></Error>`;
    response.writeHead(fault.status, { "content-type": "application/xml", ...fault.headers });
    response.end(request.method === "HEAD" ? undefined : body);
    return;
  }
  const { hostname, port } = new URL(target);
  const { method, url, headers } = request;
  const onward = sendRequest({ hostname, port, method, path: url, headers });
  const answered = once(onward, "response") as Promise<[IncomingMessage]>;
  answered.catch(() => {});
  try {
    await pipeline(request, altering(fault, "Request"), onward);
    const [answer] = await answered;
    if (fault?.do === "loseAnswer") {
      await answer.resume().toArray();
      request.socket.resetAndDestroy();
      return;
    }
    const altered = fault?.do === "alterAnswer" ? { ...answer.headers, ...fault.headers } : answer.headers;
    const kept = Object.entries(altered).filter(([, value]) => value !== undefined);
    response.writeHead(answer.statusCode ?? 500, Object.fromEntries(kept));
    await pipeline(answer, altering(fault, "Answer"), response);
  } catch {
    onward.destroy();
    request.socket.resetAndDestroy();
  }
}

/** Passes bytes on: flips a bit of the first one, or fails after the bytes that the fault lets pass. */
function altering(fault: S3Fault | undefined, side: "Request" | "Answer"): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      if (fault?.do === `flip${side}` && passed === 0 && chunk.length > 0) chunk[0] = (chunk[0] ?? 0) ^ 1;
      passed += chunk.length;
      if (
        (fault?.do === "cutRequest" || fault?.do === "cutAnswer") &&
        fault.do === `cut${side}` &&
        passed > fault.after
      ) {
        // The bytes before the cut are written before the connection breaks.
        this.push(chunk.subarray(0, Math.max(0, chunk.length - (passed - fault.after))));
        setImmediate(() => callback(new Error("cut")));
        return;
      }
      callback(null, chunk);
    },
  });
}
