import { OperatorError } from "../core/errors.ts";
import { classify } from "./errors.ts";

/** Bytes: large enough to spare the stages behind it calls, small enough to hand around. */
const chunkSize = 1024 * 1024;

/** Of the SHA-256 digest that comes last. */
const trailerBytes = 32;

/** Without one more message for this long, while we are ready to take it, the stream has stalled. */
export const stallTimeoutMs = 30_000;

/** What etcd sends for one snapshot: database bytes, then 32 bytes of SHA-256. */
export interface SnapshotStream extends AsyncDisposable {
  /** Database bytes that the member announced, without the trailer. */
  readonly totalBytes: number;
  /** In order, coalesced to about 1 MiB. Ends only after the trailer has come and the totals agree; else throws SnapshotFailed. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

interface SnapshotMessage {
  remaining_bytes: string;
  blob: Uint8Array;
}

interface CancellableStream {
  [Symbol.asyncIterator](): AsyncIterator<SnapshotMessage>;
  cancel(): void;
}

/**
 * Starts the stream and waits for its first message, which tells the total.
 * etcdserver/api/v3rpc/maintenance.go: messages carry at most 32 KiB; a read error on the server ends in empty
 * blobs for ever, so an empty blob with bytes remaining is a failure; the trailer comes after remaining_bytes == 0.
 */
export async function openSnapshotStream(
  start: () => Promise<unknown>,
  options: { endpoint: string; signal: AbortSignal; stallMs?: number },
): Promise<SnapshotStream> {
  const { endpoint, signal, stallMs = stallTimeoutMs } = options;
  const stream = (await start().catch((error: unknown) => {
    throw classify(error, { operation: "snapshot", endpoint });
  })) as CancellableStream;
  const messages = watched(stream, { endpoint, signal, stallMs });

  const first = await messages.next();
  if (first === undefined) throw failed(endpoint, "the stream ended before its first byte");
  const totalBytes = Number(first.remaining_bytes) + first.blob.length;
  if (!Number.isSafeInteger(totalBytes)) {
    messages.stop();
    throw failed(endpoint, `it announces ${totalBytes} bytes`);
  }
  return {
    totalBytes,
    chunks: coalesce(first, messages, { endpoint, totalBytes }),
    // A stream that nobody began to read, or read to its end, would go on holding the member's pages.
    async [Symbol.asyncDispose]() {
      messages.stop();
    },
  };
}

/** The blobs, each checked against what the member announced, as chunks of chunkSize. */
async function* coalesce(
  first: SnapshotMessage,
  messages: Messages,
  announced: { endpoint: string; totalBytes: number },
): AsyncGenerator<Uint8Array> {
  let received = 0;
  let chunk = Buffer.allocUnsafeSlow(chunkSize);
  let filled = 0;
  for (
    let message: SnapshotMessage | undefined = first;
    message !== undefined;
    message = await messages.next()
  ) {
    const { blob } = message;
    received += blob.length;
    inspect(message, received, announced);
    for (let offset = 0; offset < blob.length; ) {
      const part = blob.subarray(offset, offset + chunkSize - filled);
      chunk.set(part, filled);
      filled += part.length;
      offset += part.length;
      if (filled < chunkSize) continue;
      yield chunk;
      chunk = Buffer.allocUnsafeSlow(chunkSize);
      filled = 0;
    }
  }
  const { endpoint, totalBytes } = announced;
  const withTrailer = totalBytes + trailerBytes;
  if (received !== withTrailer) {
    throw failed(
      endpoint,
      received === totalBytes
        ? "the SHA-256 trailer is missing"
        : `it ended after ${received} of ${withTrailer} bytes`,
    );
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

/** Throws SnapshotFailed when a message does not go on where the one before it ended. */
function inspect(
  { blob, remaining_bytes }: SnapshotMessage,
  received: number,
  { endpoint, totalBytes }: { endpoint: string; totalBytes: number },
): void {
  const remaining = Number(remaining_bytes);
  if (blob.length === 0 && remaining > 0) {
    throw failed(
      endpoint,
      `the member stopped sending ${remaining} bytes before the end; its log names the read error`,
    );
  }
  const fits =
    received <= totalBytes
      ? received + remaining === totalBytes
      : received === totalBytes + trailerBytes && remaining === 0;
  if (!fits) throw failed(endpoint, `after ${received} bytes it says ${remaining} remain of ${totalBytes}`);
}

interface Messages {
  /** Undefined at the end. Throws when the stream breaks off or stalls, or the signal fires. */
  next(): Promise<SnapshotMessage | undefined>;
  stop(): void;
}

/** The messages of the stream. One timer and one listener for all of them: there are thirty thousand to the gigabyte. */
function watched(
  stream: CancellableStream,
  { endpoint, signal, stallMs }: { endpoint: string; signal: AbortSignal; stallMs: number },
): Messages {
  const iterator = stream[Symbol.asyncIterator]();
  /** Set while a message is waited for: a slow reader is not a stalled member. */
  let interrupt: ((reason: unknown) => void) | undefined;
  const timer = setTimeout(() => interrupt?.(stalled(endpoint, stallMs)), stallMs);
  const onAbort = () => interrupt?.(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });

  function stop(): void {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    stream.cancel();
  }

  return {
    stop,
    async next() {
      try {
        signal.throwIfAborted();
        timer.refresh();
        const result = await new Promise<IteratorResult<SnapshotMessage>>((resolve, reject) => {
          interrupt = reject;
          iterator.next().then(resolve, reject);
        });
        if (result.done !== true) return result.value;
        stop();
        return undefined;
      } catch (error) {
        stop();
        if (signal.aborted) throw signal.reason;
        throw classify(error, { operation: "snapshot", endpoint });
      } finally {
        interrupt = undefined;
      }
    },
  };
}

function stalled(endpoint: string, stallMs: number): OperatorError {
  return new OperatorError("SnapshotFailed", `snapshot at ${endpoint}: no data for ${stallMs / 1000} s`, {
    hint: "is the member paused, or its disk stalled?",
  });
}

function failed(endpoint: string, message: string): OperatorError {
  return new OperatorError("SnapshotFailed", `snapshot at ${endpoint}: ${message}`);
}
