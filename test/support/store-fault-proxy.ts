import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer, request as sendRequest } from "node:http";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

/** A request on its way to the store. */
export interface Seen {
  operation: "Put" | "Create" | "Part" | "Complete" | "Abort" | "Head" | "Get" | "List" | "Delete" | "Other";
  /** Undecoded path with its query. */
  url: string;
  headers: IncomingMessage["headers"];
  /** Of this operation, from 1. */
  count: number;
  /** The client got its answer, or never will. */
  ended: boolean;
}

export type Fault =
  | { do: "answer"; status: number; code: string; headers?: Record<string, string> }
  /** The store never sees it. */
  | { do: "reset" }
  /** The store gets the beginning, then the connection breaks. */
  | { do: "cutRequest"; after: number }
  /** The store does it, the client never hears of it. */
  | { do: "loseAnswer" }
  | { do: "cutAnswer"; after: number }
  | { do: "flipRequest" }
  | { do: "flipAnswer" }
  | { do: "alterAnswer"; headers: Record<string, string | undefined> };

export interface FaultProxy extends AsyncDisposable {
  readonly endpoint: string;
  readonly seen: Seen[];
  /** Asked for each request. */
  fault: (request: Seen) => Fault | undefined | Promise<Fault | undefined>;
}

/** An HTTP proxy in front of an S3 server that breaks what it is told to. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const seen: Seen[] = [];
  const proxy: Pick<FaultProxy, "seen" | "fault"> = { seen, fault: () => undefined };
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const operation = operationOf(request);
    const count = seen.filter((earlier) => earlier.operation === operation).length + 1;
    const noted: Seen = { operation, url: request.url ?? "", headers: request.headers, count, ended: false };
    seen.push(noted);
    try {
      await forward(target, request, response, await proxy.fault(noted));
    } finally {
      noted.ended = true;
    }
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(proxy, {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  });
}

function operationOf({ method, url = "" }: IncomingMessage): Seen["operation"] {
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
  fault: Fault | undefined,
): Promise<void> {
  if (fault?.do === "reset") {
    request.socket.resetAndDestroy();
    return;
  }
  if (fault?.do === "answer") {
    request.resume();
    const body = `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>as the test wants it</Message></Error>`;
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

/** Passes bytes on, but for one that is flipped, or until it breaks. */
function altering(fault: Fault | undefined, side: "Request" | "Answer"): Transform {
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
        // What came before is on its way before the connection breaks.
        this.push(chunk.subarray(0, Math.max(0, chunk.length - (passed - fault.after))));
        setImmediate(() => callback(new Error("cut")));
        return;
      }
      callback(null, chunk);
    },
  });
}
