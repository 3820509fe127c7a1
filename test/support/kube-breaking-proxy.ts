import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { pipeline } from "node:stream/promises";
import timers from "node:timers/promises";
import { KubeConfig } from "@kubernetes/client-node";
import { tempDir } from "../harness/process.ts";

/** Forwards to an API server with the credentials of a kubeconfig, and breaks what it is told to break. */
export interface BreakingProxy extends AsyncDisposable {
  /** Leads to the proxy. */
  readonly kubeconfigPath: string;
  /** Method and path of every request, in order. */
  readonly requests: readonly string[];
  /** What was sent with each request that is no GET, in the order in which they were complete. */
  readonly writes: readonly { request: string; body: string }[];
  /** Connections that were ever opened to it. */
  readonly connections: number;
  /** Requests for which it holds are answered with this instead of being forwarded. Undefined: none. */
  refuse:
    | ((request: string) => { status: number; headers?: Record<string, string>; body?: object } | undefined)
    | undefined;
  /** Changes bytes on their way to the client, the answer to that request. */
  tamper: ((chunk: Buffer, request: string) => Buffer) | undefined;
  /** Milliseconds that a request waits before it is forwarded, and each part of its answer before it is passed on. */
  delay: ((request: string) => number) | undefined;
  /** Bytes of answers that were handed to clients' connections. */
  readonly passed: number;
  /** Connections stay open and nothing passes any more. Resolves when the first bytes have been held back. */
  freeze(): Promise<void>;
  /** What is frozen by now stays dead; new requests pass. */
  thaw(): void;
  /** Watches that are open now stay open and nothing comes on them any more; all else passes. */
  silenceWatches(): void;
  /** Breaks every connection that is open now. */
  cut(): void;
}

export async function startBreakingProxy(kubeconfigPath: string): Promise<BreakingProxy> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await tempDir("breaking-proxy")).path;
  const config = new KubeConfig();
  config.loadFromString(await readFile(kubeconfigPath, "utf8"));
  const tls: https.RequestOptions = {};
  await config.applyToHTTPSOptions(tls);
  const target = config.getCurrentCluster()?.server ?? "";

  const requests: string[] = [];
  const writes: { request: string; body: string }[] = [];
  let frozen: PromiseWithResolvers<void> | undefined;
  const hold = async (): Promise<never> => {
    frozen?.resolve();
    return await new Promise<never>(() => {});
  };

  let passed = 0;
  let silences = 0;
  const late = async (line: string): Promise<void> => {
    const ms = proxy.delay?.(line) ?? 0;
    if (ms > 0) await timers.setTimeout(ms);
  };

  async function* through(line: string, source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const born = silences;
    const silenced = () => line.includes("watch=true") && silences > born;
    for await (const chunk of source) {
      await late(line);
      if (frozen !== undefined) await hold();
      if (silenced()) await new Promise<never>(() => {});
      const sent = proxy.tamper === undefined ? chunk : proxy.tamper(chunk, line);
      passed += sent.length;
      yield sent;
    }
    // The end of a silenced stream is not passed on either.
    if (silenced()) await new Promise<never>(() => {});
  }

  async function* noting(line: string, source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of source) {
      chunks.push(chunk);
      yield chunk;
    }
    if (!line.startsWith("GET ")) writes.push({ request: line, body: Buffer.concat(chunks).toString() });
  }

  async function forward(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`;
    requests.push(line);
    await late(line);
    if (frozen !== undefined) await hold();
    const refusal = proxy.refuse?.(line);
    if (refusal !== undefined) {
      response.writeHead(refusal.status, { "content-type": "application/json", ...refusal.headers });
      response.end(
        JSON.stringify(refusal.body ?? { kind: "Status", code: refusal.status, message: "refused" }),
      );
      return;
    }
    const { host: _, ...headers } = request.headers;
    const options = { ...tls, agent: false, method: request.method ?? "GET", headers } as const;
    const onward = https.request(new URL(request.url ?? "/", target), options);
    response.once("close", () => onward.destroy());
    const sent = pipeline(request, (source: AsyncIterable<Buffer>) => noting(line, source), onward);
    const [answer] = await Promise.all([once(onward, "response"), sent]).then(
      ([a]) => a as [http.IncomingMessage],
    );
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    // The head of a watch comes long before its first event.
    response.flushHeaders();
    await pipeline(answer, (source: AsyncIterable<Buffer>) => through(line, source), response);
  }

  const server = http.createServer((request, response) => {
    forward(request, response).catch(() => response.destroy());
  });
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(async () => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const url = typeof address === "object" ? `http://127.0.0.1:${address?.port}` : "";
  const path = `${directory}/kubeconfig`;
  await writeFile(path, kubeconfigTo(url));

  const owned = stack.move();
  const proxy: BreakingProxy = {
    kubeconfigPath: path,
    requests,
    writes,
    get connections() {
      return connections;
    },
    refuse: undefined,
    tamper: undefined,
    delay: undefined,
    get passed() {
      return passed;
    },
    freeze() {
      frozen = Promise.withResolvers();
      return frozen.promise;
    },
    thaw() {
      frozen = undefined;
    },
    silenceWatches() {
      silences += 1;
    },
    cut: () => server.closeAllConnections(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return proxy;
}

function kubeconfigTo(server: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "proxy", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: "nobody", user: {} }],
    contexts: [{ name: "proxy", context: { cluster: "proxy", user: "nobody" } }],
    "current-context": "proxy",
  });
}
