import type { SnapshotReading } from "./status.ts";
import { createStatusReader } from "./status.ts";
import { createTrailerCheck, type TrailerState } from "./trailer.ts";

export interface SnapshotFileReading extends SnapshotReading {
  trailer: TrailerState;
  /** SHA-256 of the database's bytes, without the trailer, hex. */
  sha256: string;
  /** All bytes, the trailer among them. */
  fileBytes: number;
  /** SHA-256 of all bytes, hex. */
  fileSha256: string;
}

/**
 * Reads a whole plain snapshot (database, then trailer) in one pass. What is wrong with its bytes is in the answer;
 * thrown is only what `source` throws, or the signal's reason.
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
    ...status.finish(),
    trailer: end.trailer,
    sha256: end.sha256,
    fileBytes,
    fileSha256: end.fileSha256,
  };
}
