import { createServer } from "node:http";
import type { Registry } from "prom-client";
import { OperatorError } from "../core/errors.ts";

export interface HealthServer extends AsyncDisposable {
  /** The port it listens on; with port 0 in the address the one that the system chose. */
  readonly port: number;
}

/**
 * Serves /healthz (200 while the event loop runs), /readyz (503 with the names that `notReady` returns, 200 when it
 * returns none) and /metrics. `address` is `host:port` or `:port`. Throws Usage when it cannot listen there.
 */
export async function serveHealth(options: {
  address: string;
  notReady: () => string[];
  registry: Registry;
}): Promise<HealthServer> {
  const { host, port } = parseAddress(options.address);
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) =>
      response.writeHead(status, { "content-type": type }).end(body);
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "text/plain", "GET only\n");
    switch (request.url?.split("?")[0]) {
      case "/healthz":
        return answer(200, "text/plain", "ok\n");
      case "/readyz": {
        const missing = options.notReady();
        return missing.length === 0
          ? answer(200, "text/plain", "ok\n")
          : answer(503, "text/plain", `waiting for ${missing.join(", ")}\n`);
      }
      case "/metrics":
        return void options.registry.metrics().then(
          (text) => answer(200, options.registry.contentType, text),
          () => answer(500, "text/plain", "metrics failed\n"),
        );
      default:
        return answer(404, "text/plain", "there are /healthz, /readyz and /metrics\n");
    }
  });
  const listening = Promise.withResolvers<void>();
  server.once("error", (error: NodeJS.ErrnoException) =>
    listening.reject(
      new OperatorError("Usage", `cannot listen on ${options.address}: ${error.code ?? error.message}`, {
        hint: "choose another --listen address",
      }),
    ),
  );
  server.listen({ port, ...(host === "" ? {} : { host }) }, () => listening.resolve());
  await listening.promise;
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : port,
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new OperatorError("Usage", `--listen ${address} is not host:port`, {
      hint: "write it such as :8080 or 127.0.0.1:8080",
    });
  return { host: match[1] ?? match[2] ?? "", port };
}
