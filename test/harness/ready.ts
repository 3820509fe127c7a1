import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { Exit, RunningProcess } from "./process.ts";

export interface HttpProbe {
  url: string;
  caPem?: string;
  certPem?: string;
  keyPem?: string;
}

/** Sends one GET. Returns undefined if no server answers within two seconds. */
export async function probe(target: HttpProbe): Promise<{ status: number; body: string } | undefined> {
  const url = new URL(target.url);
  const request = url.protocol === "https:" ? httpsRequest : httpRequest;
  const { promise, resolve } = Promise.withResolvers<{ status: number; body: string } | undefined>();
  const sent = request(
    url,
    {
      agent: false,
      signal: AbortSignal.timeout(2000),
      ...(target.caPem === undefined ? {} : { ca: target.caPem }),
      ...(target.certPem === undefined ? {} : { cert: target.certPem }),
      ...(target.keyPem === undefined ? {} : { key: target.keyPem }),
    },
    (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, body }),
        () => resolve(undefined),
      );
    },
  );
  sent.on("error", () => resolve(undefined));
  sent.end();
  return promise;
}

/** The server ended, or was not ready in time. The message holds the end of the server's output. */
export class NotReady extends Error {
  override readonly name = "NotReady";
  /** Another process had taken its port. */
  readonly portTaken: boolean;

  constructor(what: string, output: string) {
    super(`${what}\n${output.slice(-4000)}`);
    this.portTaken = /address already in use|port is already (?:in use|allocated)/i.test(output);
  }
}

/** Polls until `check` is true. Throws `NotReady` if the process ends first, or after `timeoutMs`. */
export async function untilReady(
  name: string,
  process: RunningProcess,
  check: () => Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = AbortSignal.timeout(timeoutMs);
  let exit: Exit | undefined;
  const recordExit = async (): Promise<void> => {
    exit = await process.exited;
  };
  void recordExit();
  for (;;) {
    if (await check()) return;
    if (exit !== undefined) {
      const how = exit.signal ?? `exit code ${exit.code}`;
      throw new NotReady(`${name} ended with ${how} before it was ready`, process.output());
    }
    if (deadline.aborted)
      throw new NotReady(`${name} was not ready within ${timeoutMs} ms`, process.output());
    await delay(50);
  }
}

/** Calls `start` with new ports, and again if another process took one of the ports. At most five attempts. */
export async function withPortRetry<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof NotReady && error.portTaken) || attempt === 5) throw error;
    }
  }
}
