import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { OperatorError } from "../core/errors.ts";
import { type ConfigSource, loadKubeConfig } from "./kube-config.ts";

export interface HttpRequest {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below the server's URL, query included. */
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
}

export interface HttpAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Must be read to its end, or the request's signal fired: it holds a connection. */
  body: AsyncIterable<Uint8Array>;
}

/** One API server, with credentials. */
export interface Connection extends AsyncDisposable {
  readonly server: string;
  /** The namespace of the kubeconfig's context. */
  readonly namespace: string;
  /** Resolves as soon as the head of the answer is there. Whatever breaks is thrown as Node throws it. */
  exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>;
  /** Reads the kubeconfig, tokens and certificates again: they may have been renewed. */
  reload(): Promise<void>;
}

type HttpsOptions = Omit<https.RequestOptions, "headers"> & { headers?: http.OutgoingHttpHeaders };

/** A peer that vanished without a word is noticed after this and some ten probes a second apart. */
const keepAliveProbeMs = 30_000;

export async function openConnection(source: ConfigSource): Promise<Connection> {
  let { config, cluster } = await loadKubeConfig(source);
  // Not the library's agents: one kind is made anew for each call, the other keeps the first CA for ever.
  // TLS settings are given with each request instead; the agent pools connections by them.
  const agents = {
    "https:": new https.Agent({ keepAlive: true }),
    "http:": new http.Agent({ keepAlive: true }),
  };

  async function requestOptions(url: URL, signal: AbortSignal): Promise<HttpsOptions> {
    const options: HttpsOptions = {};
    try {
      await config.applyToHTTPSOptions(options);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
      throw new OperatorError(
        "InvalidConfiguration",
        `the credentials for ${url.origin} cannot be read: ${reason}`,
        {
          permanent: false,
          hint: "check the files and the plugin that the kubeconfig names",
        },
      );
    }
    const viaProxy = cluster.proxyUrl !== undefined && cluster.proxyUrl !== "";
    if (!viaProxy) options.agent = url.protocol === "http:" ? agents["http:"] : agents["https:"];
    return { ...options, signal };
  }

  return {
    server: cluster.server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? "default",
    async exchange({ method, path, headers, body }, signal) {
      const url = new URL(cluster.server.replace(/\/+$/, "") + path);
      const options = await requestOptions(url, signal);
      const all = { ...options.headers, "user-agent": "etcd-backup-operator", ...headers };
      const { request: open } = url.protocol === "http:" ? http : https;
      const request = open(url, { ...options, method, headers: all });
      // After the head has come, a broken connection is reported by the body.
      request.on("error", () => {});
      request.once("socket", (socket) => socket.setKeepAlive(true, keepAliveProbeMs));
      request.end(body);
      const [answer]: http.IncomingMessage[] = await once(request, "response");
      if (answer?.statusCode === undefined) throw new Error("an answer without a status");
      return { status: answer.statusCode, headers: answer.headers, body: answer };
    },
    async reload() {
      ({ config, cluster } = await loadKubeConfig(source));
    },
    async [Symbol.asyncDispose]() {
      agents["https:"].destroy();
      agents["http:"].destroy();
    },
  };
}
