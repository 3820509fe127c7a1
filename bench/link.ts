import { once } from "node:events";
import { type Socket, connect, createServer } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";

/** A proxy to a server that passes `bytesPerSecond` in each direction, over all connections: it simulates a network link. */
export async function startLink(
  target: string,
  bytesPerSecond: number,
): Promise<{ endpoint: string } & AsyncDisposable> {
  const { protocol, hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const createThrottle = () => {
    let freeAt = 0;
    return async function* throttle(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        const now = performance.now();
        freeAt = Math.max(now, freeAt) + (chunk.length / bytesPerSecond) * 1000;
        // Timers have a resolution of 1 ms: shorter waits add up before they are spent.
        if (freeAt - now > 2) await delay(freeAt - now);
        yield chunk;
      }
    };
  };
  const [toServer, toClient] = [createThrottle(), createThrottle()];
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: Number(port), host: hostname, noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    }
    const closeBoth = () => {
      client.destroy();
      upstream.destroy();
    };
    pipeline(client, toServer, upstream).catch(closeBoth);
    pipeline(upstream, toClient, client).catch(closeBoth);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const ownPort = typeof address === "object" && address !== null ? address.port : 0;
  return {
    endpoint: `${protocol}//127.0.0.1:${ownPort}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
