import { type ZstdCompress, constants, createZstdCompress } from "node:zlib";

/** Plain bytes in one zstd frame. The last frame of an object may hold fewer. */
export const framePlainBytes = 4 * 1024 * 1024;

/**
 * Bytes that the compressor emits at a time. Each piece costs a turn between the main thread and the thread pool. The
 * start scripts raise malloc's threshold above this size, since new pages for each piece cost more than the turns.
 */
const pieceSize = 512 * 1024;

/**
 * Compresses the bytes as independent zstd frames of `framePlainBytes` each, in order. Together they are one zstd file.
 * Appends the compressed size of each frame to `sizes`. One compressor makes all frames, and its output is passed on at
 * once: buffers that live as long as a frame reach the old generation, which is collected late, and new pages for each
 * piece cost a third more CPU in a save.
 */
export async function* compressFrames(
  plain: AsyncIterable<Uint8Array>,
  sizes: number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const compressor = createCompressor();
  let pieces: Buffer[] = [];
  compressor.on("data", (piece: Buffer) => pieces.push(piece));
  // The callback of the step in progress gets the error too. Without a listener it would end the process.
  compressor.on("error", () => {});
  let filled = 0;
  let stored = 0;
  let step: Promise<Uint8Array[]> = Promise.resolve([]);

  /** Begins a step after the one before, and passes on the output of that one while the thread pool works. */
  async function* begin(start: (done: Done) => void, isLast: boolean): AsyncGenerator<Uint8Array, void> {
    const emitted = await step;
    step = output(start, isLast);
    // A failure is thrown where the step is awaited, unless the reader has left before.
    step.catch(() => {});
    yield* emitted;
  }
  async function output(start: (done: Done) => void, isLast: boolean): Promise<Uint8Array[]> {
    await new Promise<void>((resolve, reject) => {
      start((error) => (error ? reject(error) : resolve()));
    });
    // `read` emits what the stream still holds.
    while (compressor.read() !== null);
    const emitted = pieces;
    pieces = [];
    for (const piece of emitted) stored += piece.length;
    if (isLast) {
      sizes.push(stored);
      stored = 0;
    }
    return emitted;
  }
  const endFrame = (): AsyncGenerator<Uint8Array, void> => {
    filled = 0;
    return begin((done) => compressor.flush(constants.ZSTD_e_end, done), true);
  };

  try {
    for await (const chunk of plain) {
      for (let offset = 0; offset < chunk.length; ) {
        const part = chunk.subarray(offset, offset + framePlainBytes - filled);
        yield* begin((done) => compressor.write(part, done), false);
        filled += part.length;
        offset += part.length;
        if (filled === framePlainBytes) yield* endFrame();
      }
    }
    if (filled > 0) yield* endFrame();
    yield* await step;
  } finally {
    compressor.destroy();
  }
}

type Done = (error?: Error | null) => void;

/**
 * Level 1 compresses 750 MB/s, and halves typical Kubernetes data. It uses no workers: Node's zstd stream loses data
 * with them.
 */
function createCompressor(): ZstdCompress {
  return createZstdCompress({
    chunkSize: pieceSize,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}
