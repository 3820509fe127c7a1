import { once } from "node:events";
import { type Server, createServer } from "node:net";
import { randomInt } from "node:crypto";

/**
 * Below the ephemeral ports of outgoing connections (32768 and up on Linux), so that a server can restart on the same port.
 */
const lowest = 12_000;
const highest = 32_000;
/** Ports of a block. This process listens on the first port of a block until it ends, which reserves the others. */
const blockSize = 100;
let reserved: number[] = [];

/** Free ports of 127.0.0.1 that no other test process receives while this one runs. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    if (reserved.length === 0) reserved = await reserveBlock();
    const port = reserved.shift();
    if (port !== undefined && (await isFree(port))) ports.push(port);
  }
  return ports;
}

async function reserveBlock(): Promise<number[]> {
  for (let attempts = 0; attempts < 1000; attempts += 1) {
    const first = lowest + blockSize * randomInt((highest - lowest) / blockSize);
    const guard = await listenOn(first);
    if (guard === undefined) continue;
    guard.unref();
    return Array.from({ length: blockSize - 1 }, (_, index) => first + 1 + index);
  }
  throw new Error(`no block of ${blockSize} ports is free between ${lowest} and ${highest}`);
}

async function isFree(port: number): Promise<boolean> {
  await using server = await listenOn(port);
  return server !== undefined;
}

async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  } catch {
    return undefined;
  }
}
