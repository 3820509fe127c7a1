import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { OperatorError } from "../core/errors.ts";
import { firstLine } from "./errors.ts";
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
  /** It holds a connection until it is read to its end or the request's signal fires. */
  body: AsyncIterable<Uint8Array>;
}

/** One API server, with credentials. */
export interface Connection extends AsyncDisposable {
  readonly server: string;
  /** The namespace of the kubeconfig's context. */
  readonly namespace: string;
  /** Resolves when the head of the answer has arrived. Throws Node's errors as they are. */
  exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>;
  /** Reads the kubeconfig, tokens and certificates again, which may have been renewed. */
  reload(): Promise<void>;
}

type HttpsOptions = Omit<https.RequestOptions, "headers"> & { headers?: http.OutgoingHttpHeaders };

/** A peer that vanished is noticed after this time plus about ten probes, one a second. */
const keepAliveProbeMs = 30_000;

export async function openConnection(source: ConfigSource): Promise<Connection> {
  let { config, cluster } = await loadKubeConfig(source);
  // The library's agents do not fit: one kind is created for each call, the other never takes up a renewed CA.
  // Here each request carries its TLS settings, and the agent pools connections by them.
  const agents = {
    "https:": new https.Agent({ keepAlive: true }),
    "http:": new http.Agent({ keepAlive: true }),
  };

  async function httpsOptions(url: URL, signal: AbortSignal): Promise<HttpsOptions> {
    const options: HttpsOptions = {};
    try {
      await config.applyToHTTPSOptions(options);
    } catch (error) {
      throw new OperatorError(
        "InvalidConfiguration",
        `the credentials for ${url.origin} cannot be read: ${firstLine(error)}`,
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
      const options = await httpsOptions(url, signal);
      const all = { ...options.headers, "user-agent": "etcd-backup-operator", ...headers };
      const { request: open } = url.protocol === "http:" ? http : https;
      const request = open(url, { ...options, method, headers: all });
      // After the head has arrived, the body reports a broken connection.
      request.on("error", () => {});
      request.once("socket", (socket) => socket.setKeepAlive(true, keepAliveProbeMs));
      request.end(body);
      const [answer]: http.IncomingMessage[] = await once(request, "response");
      if (answer?.statusCode === undefined) throw new Error("the answer has no HTTP status");
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
