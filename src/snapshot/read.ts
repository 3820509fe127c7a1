import type { SnapshotReading } from "./status.ts";
import { createStatusReader } from "./status.ts";
import { createTrailerCheck, type TrailerState } from "./trailer.ts";

export interface SnapshotFileReading extends SnapshotReading {
  trailer: TrailerState;
  /** SHA-256 of the database without the trailer, in hex. */
  sha256: string;
  /** Bytes of the file, with the trailer. */
  fileBytes: number;
  /** SHA-256 of the whole file, in hex. */
  fileSha256: string;
}

/**
 * Reads an uncompressed snapshot (database, then trailer) in one pass. Damaged bytes become violations in the result.
 * Throws only what `source` throws, or the signal's reason. `onProgress` gets the bytes read so far.
 */
export async function readSnapshot(
  source: AsyncIterable<Uint8Array>,
  options: { signal: AbortSignal; onProgress?: (bytes: number) => void },
): Promise<SnapshotFileReading> {
  const trailer = createTrailerCheck();
  const status = createStatusReader();
  let fileBytes = 0;
  options.signal.throwIfAborted();
  for await (const chunk of source) {
    options.signal.throwIfAborted();
    for (const part of trailer.push(chunk)) status.push(part);
    fileBytes += chunk.length;
    options.onProgress?.(fileBytes);
  }
  options.signal.throwIfAborted();
  const end = trailer.finish();
  if (end.trailer === "missing") status.push(end.rest);
  return {
    ...(await status.finish(options.signal)),
    trailer: end.trailer,
    sha256: end.sha256,
    fileBytes,
    fileSha256: end.fileSha256,
  };
}
