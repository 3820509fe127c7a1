import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";

/** Bytes that the decompressor emits at a time. */
const chunkSize = 1024 * 1024;

/** Calls `read` with the uncompressed bytes. When `read` throws, the source is ended too. */
export async function unpack<T>(
  bytes: AsyncIterable<Uint8Array>,
  compression: "Zstd" | "None",
  signal: AbortSignal,
  read: (plain: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  let result: { value: T } | undefined;
  const sink = async (plain: AsyncIterable<Uint8Array>): Promise<void> => {
    result = { value: await read(plain) };
  };
  const source = Readable.from(bytes, { objectMode: false });
  if (compression === "Zstd") await pipeline(source, createZstdDecompress({ chunkSize }), sink, { signal });
  else await pipeline(source, sink, { signal });
  if (result === undefined) throw new Error("the stream ended without a result");
  return result.value;
}
