import { once } from "node:events";
import { type Socket, connect, createServer } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";

/** A way to a server that carries `bytesPerSecond` in each direction, over all connections: a network, on one machine. */
export async function startLink(
  target: string,
  bytesPerSecond: number,
): Promise<{ endpoint: string } & AsyncDisposable> {
  const { protocol, hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const carrier = () => {
    let freeAt = 0;
    return async function* carry(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        const now = performance.now();
        freeAt = Math.max(now, freeAt) + (chunk.length / bytesPerSecond) * 1000;
        // Timers are whole milliseconds: shorter waits add up before they are kept.
        if (freeAt - now > 2) await delay(freeAt - now);
        yield chunk;
      }
    };
  };
  const [there, back] = [carrier(), carrier()];
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: Number(port), host: hostname, noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    }
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    pipeline(client, there, upstream).catch(end);
    pipeline(upstream, back, client).catch(end);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const own = typeof address === "object" && address !== null ? address.port : 0;
  return {
    endpoint: `${protocol}//127.0.0.1:${own}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
