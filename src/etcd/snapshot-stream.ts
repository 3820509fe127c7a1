import { OperatorError } from "../core/errors.ts";
import { classify } from "./errors.ts";

/** Bytes: large enough to spare the stages behind it calls, small enough to hand around. */
const chunkSize = 1024 * 1024;

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
    throw classify(error, endpoint, "snapshot");
  })) as CancellableStream;
  const messages = stream[Symbol.asyncIterator]();
  const next = () => nextMessage(messages, stream, { endpoint, signal, stallMs });

  const first = await next();
  if (first === undefined) throw failed(endpoint, "the stream ended before its first byte");
  const totalBytes = Number(first.remaining_bytes) + first.blob.length;
  if (!Number.isSafeInteger(totalBytes)) {
    stream.cancel();
    throw failed(endpoint, `it announces ${totalBytes} bytes`);
  }
  return {
    totalBytes,
    chunks: coalesce(inspect(first, next, { endpoint, totalBytes })),
    // A stream that nobody began to read, or read to its end, would go on holding the member's pages.
    async [Symbol.asyncDispose]() {
      stream.cancel();
    },
  };
}

/** The blobs, each checked against what the member announced. */
async function* inspect(
  first: SnapshotMessage,
  next: () => Promise<SnapshotMessage | undefined>,
  { endpoint, totalBytes }: { endpoint: string; totalBytes: number },
): AsyncGenerator<Uint8Array> {
  const withTrailer = totalBytes + 32;
  let received = 0;
  for (let message: SnapshotMessage | undefined = first; message !== undefined; message = await next()) {
    const remaining = Number(message.remaining_bytes);
    if (message.blob.length === 0 && remaining > 0) {
      throw failed(
        endpoint,
        `the member stopped sending ${remaining} bytes before the end; its log names the read error`,
      );
    }
    received += message.blob.length;
    if (
      received <= totalBytes
        ? received + remaining !== totalBytes
        : received !== withTrailer || remaining !== 0
    ) {
      throw failed(endpoint, `after ${received} bytes it says ${remaining} remain of ${totalBytes}`);
    }
    if (message.blob.length > 0) yield message.blob;
  }
  if (received !== withTrailer) {
    throw failed(
      endpoint,
      received === totalBytes
        ? "the SHA-256 trailer is missing"
        : `it ended after ${received} of ${withTrailer} bytes`,
    );
  }
}

async function* coalesce(blobs: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafeSlow(chunkSize);
  let filled = 0;
  for await (const blob of blobs) {
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
  if (filled > 0) yield chunk.subarray(0, filled);
}

async function nextMessage(
  messages: AsyncIterator<SnapshotMessage>,
  stream: CancellableStream,
  { endpoint, signal, stallMs }: { endpoint: string; signal: AbortSignal; stallMs: number },
): Promise<SnapshotMessage | undefined> {
  const stalled = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      stalled.reject(
        new OperatorError("SnapshotFailed", `snapshot at ${endpoint}: no data for ${stallMs / 1000} s`, {
          hint: "is the member paused, or its disk stalled?",
        }),
      ),
    stallMs,
  );
  const stop = () => stalled.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    const result = await Promise.race([messages.next(), stalled.promise]);
    return result.done === true ? undefined : result.value;
  } catch (error) {
    stream.cancel();
    if (signal.aborted) throw signal.reason;
    throw classify(error, endpoint, "snapshot");
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function failed(endpoint: string, message: string): OperatorError {
  return new OperatorError("SnapshotFailed", `snapshot at ${endpoint}: ${message}`);
}
