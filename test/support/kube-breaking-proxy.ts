import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { KubeConfig } from "@kubernetes/client-node";
import { tempDir } from "../harness/process.ts";
import { listen } from "./listen.ts";

/** Forwards to an API server with the credentials of a kubeconfig, and injects faults. */
export interface BreakingProxy extends AsyncDisposable, Rules {
  /** A kubeconfig whose server is the proxy. */
  readonly kubeconfigPath: string;
  /** Method and path of every request, in order. */
  readonly requests: readonly string[];
  /** Body of every request that is no GET, in the order in which the bodies were complete. */
  readonly writes: readonly { request: string; body: string }[];
  /** Connections that clients have opened. */
  readonly connections: number;
  /** Bytes of answers that were handed to clients' connections. */
  readonly passed: number;
  /** Connections stay open, and no byte passes any more. Resolves when the first bytes have been held back. */
  freeze(): Promise<void>;
  /** New requests pass. What is frozen by now stays frozen. */
  thaw(): void;
  /** Watches that are open now stay open without another event; everything else passes. */
  silenceWatches(): void;
  /** Closes every connection that is open now. */
  cut(): void;
}

/** What a test sets. A request is given as `METHOD path?query`. */
interface Rules {
  /** Answers the request with this instead of forwarding it, when defined. */
  refuse:
    | ((request: string) => { status: number; headers?: Record<string, string>; body?: object } | undefined)
    | undefined;
  /** Changes bytes of the answer to the request. */
  tamper: ((chunk: Buffer, request: string) => Buffer) | undefined;
  /** Milliseconds that the request waits before it is forwarded, and each part of its answer before it is passed on. */
  delay: ((request: string) => number) | undefined;
}

/** What the proxy has seen and what holds for all of its connections. */
interface State {
  requests: string[];
  writes: { request: string; body: string }[];
  passed: number;
  /** Resolved when bytes have been held back; undefined while everything passes. */
  frozen: PromiseWithResolvers<void> | undefined;
  /** How often `silenceWatches` was called. */
  silences: number;
}

interface Upstream {
  url: string;
  tls: https.RequestOptions;
}

export async function startBreakingProxy(kubeconfigPath: string): Promise<BreakingProxy> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await tempDir("breaking-proxy")).path;
  const upstream = await upstreamOf(kubeconfigPath);
  const state: State = { requests: [], writes: [], passed: 0, frozen: undefined, silences: 0 };
  const server = http.createServer((request, response) => {
    forward(upstream, { state, rules: proxy }, request, response).catch(() => response.destroy());
  });
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  const port = await listen(server);
  stack.defer(async () => {
    server.closeAllConnections();
    server.close();
  });
  const path = `${directory}/kubeconfig`;
  await writeFile(path, kubeconfigTo(`http://127.0.0.1:${port}`));

  const owned = stack.move();
  const proxy: BreakingProxy = {
    kubeconfigPath: path,
    requests: state.requests,
    writes: state.writes,
    get connections() {
      return connections;
    },
    refuse: undefined,
    tamper: undefined,
    delay: undefined,
    get passed() {
      return state.passed;
    },
    freeze() {
      state.frozen = Promise.withResolvers();
      return state.frozen.promise;
    },
    thaw() {
      state.frozen = undefined;
    },
    silenceWatches() {
      state.silences += 1;
    },
    cut: () => server.closeAllConnections(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return proxy;
}

async function upstreamOf(kubeconfigPath: string): Promise<Upstream> {
  const config = new KubeConfig();
  config.loadFromString(await readFile(kubeconfigPath, "utf8"));
  const tls: https.RequestOptions = {};
  await config.applyToHTTPSOptions(tls);
  return { url: config.getCurrentCluster()?.server ?? "", tls };
}

interface Proxying {
  state: State;
  rules: Rules;
}

async function forward(
  { url, tls }: Upstream,
  proxying: Proxying,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const { state, rules } = proxying;
  const line = `${request.method} ${request.url}`;
  state.requests.push(line);
  await delayed(rules, line);
  if (state.frozen !== undefined) await holdForever(state);
  const refusal = rules.refuse?.(line);
  if (refusal !== undefined) {
    const { status, headers, body = { kind: "Status", code: status, message: "refused" } } = refusal;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
    return;
  }
  const { host: _, ...headers } = request.headers;
  const options = { ...tls, agent: false, method: request.method ?? "GET", headers } as const;
  const onward = https.request(new URL(request.url ?? "/", url), options);
  response.once("close", () => onward.destroy());
  const sent = pipeline(request, (source: AsyncIterable<Buffer>) => recordWrite(state, line, source), onward);
  const [answer] = await Promise.all([once(onward, "response"), sent]).then(
    ([a]) => a as [http.IncomingMessage],
  );
  response.writeHead(answer.statusCode ?? 500, answer.headers);
  // The header of a watch arrives long before its first event.
  response.flushHeaders();
  await pipeline(answer, (source: AsyncIterable<Buffer>) => passAnswer(proxying, line, source), response);
}

async function* passAnswer(
  { state, rules }: Proxying,
  line: string,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const silencesBefore = state.silences;
  const isSilenced = () => line.includes("watch=true") && state.silences > silencesBefore;
  for await (const chunk of source) {
    await delayed(rules, line);
    if (state.frozen !== undefined) await holdForever(state);
    if (isSilenced()) await new Promise<never>(() => {});
    const sent = rules.tamper === undefined ? chunk : rules.tamper(chunk, line);
    state.passed += sent.length;
    yield sent;
  }
  // The end of a silenced stream is not passed on either.
  if (isSilenced()) await new Promise<never>(() => {});
}

async function* recordWrite(
  { writes }: State,
  line: string,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) {
    chunks.push(chunk);
    yield chunk;
  }
  if (!line.startsWith("GET ")) writes.push({ request: line, body: Buffer.concat(chunks).toString() });
}

async function delayed(rules: Rules, line: string): Promise<void> {
  const ms = rules.delay?.(line) ?? 0;
  if (ms > 0) await delay(ms);
}

async function holdForever({ frozen }: State): Promise<never> {
  frozen?.resolve();
  return new Promise<never>(() => {});
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
