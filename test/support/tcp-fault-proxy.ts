import { once } from "node:events";
import { type Socket, connect, createServer } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";

/** A TCP proxy in front of a server that holds back, cuts or alters what the server sends. */
export interface TcpFaultProxy extends AsyncDisposable {
  /** As the server's, with the proxy's port. */
  readonly endpoint: string;
  /**
   * Passes on this many more bytes of the server's, over all connections, then holds everything back and resolves.
   * The connections stay open.
   */
  holdAfter(bytes: number): Promise<void>;
  /** Passes on what was held back, and everything after it. */
  release(): void;
  /** Flips a bit of the first byte of this text wherever the server sends it; resolves to when that has happened. */
  flip(text: string): Promise<void>;
  /** From now on at most this many bytes of the server's a second, over all connections. */
  throttle(bytesPerSecond: number): void;
  /** On connections whose client began with this text, what the server sends is lost, but for writes of these bytes. */
  drop(beginning: string, butFor: Buffer): void;
  /** Ends every connection, in the middle of whatever it carries. New ones are taken. */
  cut(): void;
}

interface Connection {
  /** Of what the client sent. */
  beginning: string;
}

export async function startTcpFaultProxy(target: string): Promise<TcpFaultProxy> {
  const { protocol, hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let allowed = Infinity;
  let held: PromiseWithResolvers<void> | undefined;
  let resumed = Promise.withResolvers<void>();
  let rate = Infinity;
  let dropped: { beginning: string; butFor: Buffer } | undefined;
  let flipping: { text: string; done: PromiseWithResolvers<void> } | undefined;

  const isLost = (chunk: Buffer, { beginning }: Connection): boolean =>
    dropped !== undefined && beginning.startsWith(dropped.beginning) && !chunk.equals(dropped.butFor);

  async function* note(chunks: AsyncIterable<Buffer>, connection: Connection): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      if (connection.beginning === "") connection.beginning = chunk.toString("latin1", 0, 256);
      yield chunk;
    }
  }

  async function* alter(chunks: AsyncIterable<Buffer>, connection: Connection): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      if (isLost(chunk, connection)) continue;
      if (flipping !== undefined) {
        for (let at = chunk.indexOf(flipping.text); at >= 0; at = chunk.indexOf(flipping.text, at + 1)) {
          chunk.writeUInt8(chunk.readUInt8(at) ^ 1, at);
          flipping.done.resolve();
        }
      }
      allowed -= chunk.length;
      if (allowed < 0) {
        held?.resolve();
        await resumed.promise;
      }
      if (rate < Infinity) await delay((chunk.length / rate) * 1000);
      yield chunk;
    }
  }

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const connection: Connection = { beginning: "" };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        // Whoever goes first takes the other along, held back or not.
        client.destroy();
        upstream.destroy();
      });
    }
    pipeline(client, (chunks) => note(chunks, connection), upstream).catch(() => {});
    pipeline(upstream, (chunks) => alter(chunks, connection), client).catch(() => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const own = typeof address === "object" && address !== null ? address.port : 0;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const release = () => {
    allowed = Infinity;
    resumed.resolve();
  };
  return {
    endpoint: `${protocol}//127.0.0.1:${own}`,
    async holdAfter(bytes) {
      resumed = Promise.withResolvers();
      held = Promise.withResolvers();
      allowed = bytes;
      await held.promise;
    },
    release,
    async flip(text) {
      flipping = { text, done: Promise.withResolvers() };
      await flipping.done.promise;
    },
    throttle(bytesPerSecond) {
      rate = bytesPerSecond;
    },
    drop(beginning, butFor) {
      dropped = { beginning, butFor };
    },
    cut,
    async [Symbol.asyncDispose]() {
      release();
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
