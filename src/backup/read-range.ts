import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createZstdDecompress, zstdDecompress } from "node:zlib";
import { OperatorError, messageOf } from "../core/errors.ts";
import { trailerSize } from "../snapshot/trailer.ts";
import type { Store } from "../store/store.ts";
import type { Frames } from "./manifest/frames.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { withOwnFailure } from "./own-failure.ts";
import { type StoredBytesOptions, storedBytes } from "./stored-bytes.ts";

const decompress = promisify(zstdDecompress);

/** Bytes that the decompressor emits at a time. */
const chunkSize = 1024 * 1024;

/**
 * The `length` bytes from `offset` on of a backup's plain snapshot file. Reads only the frames that hold them, one at a
 * time; of a backup that lists no frames everything before them as well. Each frame has a checksum of its own, and the
 * digests of the whole file are not compared: `verifyStored` does that. Throws Usage for bytes beyond the file,
 * VerificationFailed for a damaged object, or the store's error.
 */
export async function* readRange(
  store: Pick<Store, "get">,
  manifest: Manifest,
  { offset, length }: { offset: number; length: number },
  options: StoredBytesOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const size = manifest.snapshot.totalSizeBytes + trailerSize;
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset + length > size
  )
    throw new OperatorError(
      "Usage",
      `${manifest.name} has ${size} bytes, and no ${length} from ${offset} on`,
    );
  if (length === 0) return;
  const { object, compression, frames } = manifest.stored;
  const end = offset + length;
  if (compression === "None") yield* storedBytes(store, object, { offset, length }, options);
  else if (frames !== undefined) yield* fromFrames(store, manifest, frames, { offset, end, size }, options);
  else yield* fromBeginning(store, manifest, { offset, end }, options);
}

async function* fromFrames(
  store: Pick<Store, "get">,
  { name, stored }: Manifest,
  { plainBytes, storedBytes: sizes }: Frames,
  { offset, end, size }: { offset: number; end: number; size: number },
  options: StoredBytesOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const first = Math.floor(offset / plainBytes);
  const wanted = sizes.slice(first, Math.ceil(end / plainBytes));
  const range = { offset: sum(sizes.slice(0, first)), length: sum(wanted) };
  let index = first;
  for await (const frame of inPieces(storedBytes(store, stored.object, range, options), wanted)) {
    const begin = index * plainBytes;
    const expected = Math.min(plainBytes, size - begin);
    const plain = await decompress(frame, { maxOutputLength: expected, chunkSize }).catch(
      (error: unknown) => {
        throw damaged(name, `frame ${index}: ${messageOf(error)}`);
      },
    );
    if (plain.length !== expected)
      throw damaged(name, `frame ${index} has ${plain.length} plain bytes, not ${expected}`);
    yield plain.subarray(Math.max(0, offset - begin), Math.min(plain.length, end - begin));
    index += 1;
  }
  if (index < first + wanted.length) throw damaged(name, `the object ends in frame ${index}`);
}

/** Cuts the bytes into buffers of these sizes, each in memory of its own. */
async function* inPieces(
  bytes: AsyncIterable<Uint8Array>,
  sizes: readonly number[],
): AsyncGenerator<Buffer, void, undefined> {
  const remaining = sizes.values();
  let piece: Buffer | undefined;
  let filled = 0;
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length; ) {
      piece ??= Buffer.allocUnsafeSlow(remaining.next().value ?? 0);
      const end = Math.min(chunk.length, at + piece.length - filled);
      piece.set(chunk.subarray(at, end), filled);
      filled += end - at;
      at = end;
      if (filled < piece.length) continue;
      yield piece;
      piece = undefined;
      filled = 0;
    }
  }
}

async function* fromBeginning(
  store: Pick<Store, "get">,
  { name, stored }: Manifest,
  { offset, end }: { offset: number; end: number },
  options: StoredBytesOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  // A decompressor that fails means damage, not a failure of the store.
  const source = withOwnFailure(storedBytes(store, stored.object, { offset: 0 }, options));
  const decompressor = createZstdDecompress({ chunkSize });
  const feeding = pipeline(Readable.from(source.chunks, { objectMode: false }), decompressor, {
    signal: options.signal,
  });
  // The loop below gets the same error from the decompressor.
  feeding.catch(() => {});
  let position = 0;
  try {
    for await (const chunk of decompressor as AsyncIterable<Buffer>) {
      const begin = position;
      position += chunk.length;
      if (position > offset)
        yield chunk.subarray(Math.max(0, offset - begin), Math.min(chunk.length, end - begin));
      if (position >= end) return;
    }
  } catch (error) {
    options.signal.throwIfAborted();
    const failure = source.failure();
    if (failure !== undefined) throw failure.error;
    throw damaged(name, messageOf(error));
  }
  throw damaged(name, `the object unpacks to ${position} bytes only`);
}

function damaged(name: string, problem: string): OperatorError {
  return new OperatorError("VerificationFailed", `${name} is damaged: ${problem}`);
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}
