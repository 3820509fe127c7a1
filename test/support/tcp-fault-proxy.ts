import { type Socket, connect, createServer } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { within } from "./eventually.ts";
import { close, listen } from "./listen.ts";

/** A TCP proxy in front of a server that holds back, cuts or alters what the server sends. */
export interface TcpFaultProxy extends AsyncDisposable, Omit<Faults, "alter"> {
  /** The server's URL with the proxy's address and port. */
  readonly endpoint: string;
  /** Closes every open connection. New connections are accepted. */
  cut(): void;
}

interface Faults {
  /** Passes on this many more bytes of the server, over all connections, then holds everything back. The connections stay open. */
  holdAfter(bytes: number): void;
  /** Waits until the bytes of `holdAfter` have passed and more have been held back, for a minute at most. */
  held(): Promise<void>;
  /** Passes on what was held back, and everything after it. */
  release(): void;
  /** From now on flips a bit of the first byte of this text wherever the server sends it. */
  flip(text: string): void;
  /** Waits until a bit has been flipped, for a minute at most. */
  flipped(): Promise<void>;
  /** From now on passes on at most this many bytes of the server a second, over all connections. */
  throttle(bytesPerSecond: number): void;
  /** On connections whose client began with this text, drops what the server sends, except writes of exactly these bytes. */
  drop(beginning: string, butFor: Buffer): void;
  /** What the client gets of the bytes that the server sends. */
  alter(chunks: AsyncIterable<Buffer>, connection: Connection): AsyncGenerator<Buffer>;
}

interface Connection {
  /** The first bytes that the client sent, as Latin-1. */
  beginning: string;
}

/** Starts a proxy on a free port of `address` that connects to the host and port of `target`. */
export async function startTcpFaultProxy(target: string, address = "127.0.0.1"): Promise<TcpFaultProxy> {
  const { protocol, hostname, port } = new URL(target);
  const { alter, ...faults } = createFaults();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const connection: Connection = { beginning: "" };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        // When one side closes, the other is closed too, whether bytes are held back or not.
        client.destroy();
        upstream.destroy();
      });
    }
    pipeline(client, (chunks) => noteBeginning(chunks, connection), upstream).catch(() => {});
    pipeline(upstream, (chunks) => alter(chunks, connection), client).catch(() => {});
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    ...faults,
    endpoint: `${protocol}//${address}:${await listen(server, address)}`,
    cut,
    async [Symbol.asyncDispose]() {
      faults.release();
      cut();
      await close(server);
    },
  };
}

async function* noteBeginning(chunks: AsyncIterable<Buffer>, connection: Connection): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    if (connection.beginning === "") connection.beginning = chunk.toString("latin1", 0, 256);
    yield chunk;
  }
}

function createFaults(): Faults {
  let allowed = Infinity;
  let held = Promise.withResolvers<void>();
  let released = Promise.withResolvers<void>();
  let rate = Infinity;
  let dropped: { beginning: string; butFor: Buffer } | undefined;
  let flipped = Promise.withResolvers<void>();
  let flippedText: string | undefined;
  const isDropped = (chunk: Buffer, { beginning }: Connection): boolean =>
    dropped !== undefined && beginning.startsWith(dropped.beginning) && !chunk.equals(dropped.butFor);
  return {
    holdAfter(bytes) {
      held = Promise.withResolvers();
      released = Promise.withResolvers();
      allowed = bytes;
    },
    held: () => within("the server's bytes are held back", held.promise, 60),
    release() {
      allowed = Infinity;
      released.resolve();
    },
    flip(text) {
      flipped = Promise.withResolvers();
      flippedText = text;
    },
    flipped: () => within(`the server sends ${flippedText}`, flipped.promise, 60),
    throttle(bytesPerSecond) {
      rate = bytesPerSecond;
    },
    drop(beginning, butFor) {
      dropped = { beginning, butFor };
    },
    async *alter(chunks, connection) {
      for await (const chunk of chunks) {
        if (isDropped(chunk, connection)) continue;
        if (flippedText !== undefined && flipText(chunk, flippedText)) flipped.resolve();
        allowed -= chunk.length;
        if (allowed < 0) {
          held.resolve();
          await released.promise;
        }
        if (rate < Infinity) await delay((chunk.length / rate) * 1000);
        yield chunk;
      }
    },
  };
}

/** Flips a bit of the first byte of every occurrence. False when there is none. */
function flipText(chunk: Buffer, text: string): boolean {
  let found = false;
  for (let at = chunk.indexOf(text); at >= 0; at = chunk.indexOf(text, at + 1)) {
    chunk.writeUInt8(chunk.readUInt8(at) ^ 1, at);
    found = true;
  }
  return found;
}
