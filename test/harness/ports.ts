import { once } from "node:events";
import { type Server, createServer } from "node:net";
import { randomInt } from "node:crypto";

/**
 * Below the ports that systems hand out to outgoing connections (32768 and up on Linux), so that a server can
 * be stopped and started again on its port.
 */
const lowest = 12_000;
const highest = 32_000;
/** Ports of a block. Its first is listened on for as long as the process lives: that makes the others its own. */
const blockSize = 100;
let rest: number[] = [];

/** Ports of 127.0.0.1 that nobody listens on and that no process of the tests is given, now or while this one lives. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    if (rest.length === 0) rest = await claimBlock();
    const port = rest.shift();
    if (port !== undefined && (await isFree(port))) ports.push(port);
  }
  return ports;
}

async function claimBlock(): Promise<number[]> {
  for (let attempts = 0; attempts < 1000; attempts += 1) {
    const first = lowest + blockSize * randomInt((highest - lowest) / blockSize);
    const mark = await listenOn(first);
    if (mark === undefined) continue;
    mark.unref();
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
