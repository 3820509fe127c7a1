import { OperatorError } from "../core/errors.ts";
import { classify } from "./errors.ts";

/** Bytes. Large enough that the following stages are called rarely, small enough to buffer a few of them. */
const chunkSize = 1024 * 1024;

/** Length of the SHA-256 digest at the end. */
const trailerBytes = 32;

/** Milliseconds without a message, counted while one is waited for, after which the stream has stalled. */
const stallTimeoutMs = 30_000;

/** What etcd sends for one snapshot: database bytes, then 32 bytes of SHA-256. */
export interface SnapshotStream extends AsyncDisposable {
  /** Database bytes as the member announced them, without the trailer. */
  readonly totalBytes: number;
  /** In order, in chunks of about 1 MiB. Ends after the trailer when the totals agree, else throws SnapshotFailed. */
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
 * Starts the stream and waits for its first message, which holds the total.
 * etcdserver/api/v3rpc/maintenance.go: a message carries at most 32 KiB. After a read error the server sends empty
 * blobs without end, so an empty blob with bytes remaining is a failure. The trailer follows remaining_bytes == 0.
 */
export async function openSnapshotStream(
  start: () => Promise<unknown>,
  options: { endpoint: string; signal: AbortSignal; stallMs?: number },
): Promise<SnapshotStream> {
  const { endpoint, signal, stallMs = stallTimeoutMs } = options;
  const stream = (await start().catch((error: unknown) => {
    throw classify(error, { operation: "snapshot", endpoint });
  })) as CancellableStream;
  const messages = messagesOf(stream, { endpoint, signal, stallMs });

  const first = await messages.next();
  if (first === undefined) throw snapshotFailed(endpoint, "the stream ended before its first byte");
  const totalBytes = Number(first.remaining_bytes) + first.blob.length;
  if (!Number.isSafeInteger(totalBytes)) {
    messages.stop();
    throw snapshotFailed(endpoint, `the member announces ${totalBytes} bytes, which is not a possible size`);
  }
  return {
    totalBytes,
    chunks: coalesce(first, messages, { endpoint, totalBytes }),
    // An open stream keeps a read transaction in the member, which cannot free pages meanwhile.
    async [Symbol.asyncDispose]() {
      messages.stop();
    },
  };
}

/** The blobs as chunks of chunkSize, each blob checked against the announced total. */
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
    checkProgress(message, received, announced);
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
    throw snapshotFailed(
      endpoint,
      received === totalBytes
        ? "the SHA-256 trailer is missing"
        : `the stream ended after ${received} of ${withTrailer} bytes`,
    );
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

/** Throws SnapshotFailed when a message does not continue where the one before it ended. */
function checkProgress(
  { blob, remaining_bytes }: SnapshotMessage,
  received: number,
  { endpoint, totalBytes }: { endpoint: string; totalBytes: number },
): void {
  const remaining = Number(remaining_bytes);
  if (blob.length === 0 && remaining > 0) {
    throw snapshotFailed(
      endpoint,
      `the member stopped sending ${remaining} bytes before the end; its log names the read error`,
    );
  }
  const fits =
    received <= totalBytes
      ? received + remaining === totalBytes
      : received === totalBytes + trailerBytes && remaining === 0;
  if (!fits)
    throw snapshotFailed(
      endpoint,
      `after ${received} bytes the member reports ${remaining} remaining of ${totalBytes}`,
    );
}

interface Messages {
  /** Undefined at the end. Throws OperatorError when the stream breaks or stalls, and the reason of the signal. */
  next(): Promise<SnapshotMessage | undefined>;
  stop(): void;
}

/** One timer and one listener serve all messages of the stream: a GiB has more than thirty thousand. */
function messagesOf(
  stream: CancellableStream,
  { endpoint, signal, stallMs }: { endpoint: string; signal: AbortSignal; stallMs: number },
): Messages {
  const iterator = stream[Symbol.asyncIterator]();
  /** Set only while a message is waited for: a slow reader must not count as a stalled member. */
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
    hint: "check whether the member is paused or its disk is stalled",
  });
}

function snapshotFailed(endpoint: string, message: string): OperatorError {
  return new OperatorError("SnapshotFailed", `snapshot at ${endpoint}: ${message}`);
}
