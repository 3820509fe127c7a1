import { abortError, throwIfAborted } from "../interruptible.ts";

/** A fixed number of buffers that go round: the bound of a put's memory. */
export interface PartBuffers {
  /** A buffer of at least `size` bytes with whatever content; waits until fewer than `limit` are out. */
  acquire(size: number, signal: AbortSignal): Promise<Buffer>;
  release(buffer: Buffer): void;
}

export type Allocate = (size: number) => Buffer;

export function createPartBuffers(options: { limit: number; allocate?: Allocate }): PartBuffers {
  const { limit, allocate = Buffer.allocUnsafeSlow } = options;
  const free: Buffer[] = [];
  const waiting: (() => void)[] = [];
  let out = 0;

  return {
    async acquire(size, signal) {
      throwIfAborted(signal);
      const isFree = () => out < limit;
      while (!isFree()) await turn(waiting, signal);
      out += 1;
      const buffer = free.pop();
      return buffer !== undefined && buffer.length >= size ? buffer : allocate(size);
    },
    release(buffer) {
      out -= 1;
      free.push(buffer);
      waiting.shift()?.();
    },
  };
}

async function turn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const called = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    const onAbort = () => {
      // Else a buffer would be offered to somebody who has gone.
      waiting.splice(waiting.indexOf(called), 1);
      reject(abortError(signal));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    waiting.push(called);
  });
}
