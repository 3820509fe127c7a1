import { abortError, throwIfAborted } from "../interruptible.ts";

/** A fixed number of buffers that are used again: they bound the memory of a put. */
export interface PartBuffers {
  /** A buffer of at least `size` bytes with arbitrary content. Waits until fewer than `limit` buffers are in use. */
  acquire(size: number, signal: AbortSignal): Promise<Buffer>;
  release(buffer: Buffer): void;
}

export type Allocate = (size: number) => Buffer;

export function createPartBuffers(options: { limit: number; allocate?: Allocate }): PartBuffers {
  const { limit, allocate = Buffer.allocUnsafeSlow } = options;
  const free: Buffer[] = [];
  const waiting: (() => void)[] = [];
  let inUse = 0;

  return {
    async acquire(size, signal) {
      throwIfAborted(signal);
      const isFree = () => inUse < limit;
      while (!isFree()) await released(waiting, signal);
      inUse += 1;
      const buffer = free.pop();
      return buffer !== undefined && buffer.length >= size ? buffer : allocate(size);
    },
    release(buffer) {
      inUse -= 1;
      free.push(buffer);
      waiting.shift()?.();
    },
  };
}

/** Resolves when a buffer was released, for one waiter a buffer, in order. */
async function released(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onRelease = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    const onAbort = () => {
      // A waiter that has left must not be offered a buffer.
      waiting.splice(waiting.indexOf(onRelease), 1);
      reject(abortError(signal));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    waiting.push(onRelease);
  });
}
