import { availableParallelism } from "node:os";
import { constants, createZstdCompress } from "node:zlib";

/** Plain bytes in one zstd frame. The last frame of an object may hold fewer. */
export const framePlainBytes = 4 * 1024 * 1024;

/**
 * Frames that exist at a time: one is filled while the others are compressed in the thread pool. Each needs at most
 * twice `framePlainBytes` of memory.
 */
export const framesInFlight = Math.min(4, Math.max(2, availableParallelism()));

/** Bytes that the compressor emits at a time. malloc maps pages anew for a buffer of 128 KiB or more, which costs CPU. */
const pieceSize = 64 * 1024;

/**
 * Compresses the bytes as independent zstd frames of `framePlainBytes` each, in order. Together they are one zstd file.
 * Appends the compressed size of each frame to `sizes` before it yields the frame.
 */
export async function* compressFrames(
  plain: AsyncIterable<Uint8Array>,
  sizes: number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const compressing: Promise<Buffer[]>[] = [];
  // The buffers are used again: a new one for each frame would reach the old generation, which is collected late.
  const free: Buffer[] = [];
  let buffer: Buffer | undefined;
  let filled = 0;

  const compressFilled = (): void => {
    if (buffer === undefined) return;
    const full = buffer;
    const frame = compressFrame(full.subarray(0, filled)).finally(() => free.push(full));
    // A failure is thrown where the frame is awaited, unless the reader has left before.
    frame.catch(() => {});
    compressing.push(frame);
    buffer = undefined;
    filled = 0;
  };
  async function* oldest(): AsyncGenerator<Uint8Array, void, undefined> {
    const pieces = (await compressing.shift()) ?? [];
    sizes.push(pieces.reduce((sum, piece) => sum + piece.length, 0));
    yield* pieces;
  }

  for await (const chunk of plain) {
    for (let offset = 0; offset < chunk.length; ) {
      buffer ??= free.pop() ?? Buffer.allocUnsafeSlow(framePlainBytes);
      const end = Math.min(chunk.length, offset + framePlainBytes - filled);
      buffer.set(chunk.subarray(offset, end), filled);
      filled += end - offset;
      offset = end;
      if (filled === framePlainBytes) compressFilled();
      while (compressing.length >= framesInFlight) yield* oldest();
    }
  }
  compressFilled();
  while (compressing.length > 0) yield* oldest();
}

/**
 * Level 1 compresses 750 MB/s, and halves typical Kubernetes data. It uses no workers: Node's zstd stream loses data
 * with them.
 */
async function compressFrame(plain: Uint8Array): Promise<Buffer[]> {
  const compressor = createZstdCompress({
    chunkSize: pieceSize,
    pledgedSrcSize: plain.length,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  compressor.end(plain);
  return Array.fromAsync<Buffer>(compressor);
}
