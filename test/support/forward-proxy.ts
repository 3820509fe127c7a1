import { createServer, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { listen } from "./listen.ts";

/** A forward proxy on loopback. */
export interface ForwardProxy extends AsyncDisposable {
  readonly url: string;
  /** `CONNECT host:port`, or the method and the URL of a plain request. */
  readonly seen: string[];
}

/**
 * Starts a proxy that carries plain requests and tunnels to `targetPort` on loopback, whatever host they name. With a
 * status it refuses them.
 */
export async function startForwardProxy(targetPort: number, refuseWith?: number): Promise<ForwardProxy> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (refuseWith !== undefined) return void response.writeHead(refuseWith).end();
    const { pathname, search } = new URL(request.url ?? "");
    const { method, headers } = request;
    const target = { host: "127.0.0.1", port: targetPort, path: pathname + search, method, headers };
    const forwarded = httpRequest(target, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  });
  server.on("connect", (request, socket: Socket) => {
    seen.push(`CONNECT ${request.url}`);
    if (refuseWith !== undefined) return void socket.end(`HTTP/1.1 ${refuseWith} Refused\r\n\r\n`);
    const target = connect(targetPort, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(target).pipe(socket);
    });
    for (const end of [socket, target]) {
      sockets.add(end);
      end.on("error", () => {
        socket.destroy();
        target.destroy();
      });
    }
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}
