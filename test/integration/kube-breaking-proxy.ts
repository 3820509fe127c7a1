import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { pipeline } from "node:stream/promises";
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
  /** Changes bytes on their way to the client. */
  tamper: ((chunk: Buffer) => Buffer) | undefined;
  /** Connections stay open and nothing passes any more. Resolves when the first bytes have been held back. */
  freeze(): Promise<void>;
  /** What is frozen by now stays dead; new requests pass. */
  thaw(): void;
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

  async function* through(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      if (frozen !== undefined) await hold();
      yield proxy.tamper === undefined ? chunk : proxy.tamper(chunk);
    }
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
    await pipeline(answer, through, response);
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
    freeze() {
      frozen = Promise.withResolvers();
      return frozen.promise;
    },
    thaw() {
      frozen = undefined;
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
