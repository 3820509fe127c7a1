import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../core/errors.ts";
import { hex8 } from "../core/hex.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { compressFrames, framePlainBytes } from "./frames.ts";
import { type Frames, maxFrames } from "./manifest/frames.ts";
import { withOwnFailure } from "./own-failure.ts";
import type { SnapshotSource } from "./source.ts";
import { type SnapshotReading, type SnapshotStatus, createStatusReader } from "../snapshot/status.ts";
import { createTrailerCheck } from "../snapshot/trailer.ts";

export interface Transferred {
  status: SnapshotStatus;
  /** Hex SHA-256 of the database, equal to etcd's trailer. */
  sha256: string;
  /** CRC-32C of the plain file with its trailer; 8 hex digits. */
  crc32c: string;
  stored: StoredObject & {
    sha256: string;
    /** Absent without compression, and for an object of more than `maxFrames` frames. */
    frames?: Frames;
  };
}

/**
 * Bytes buffered before the compressor. Larger buffers live long enough to reach the old generation, which is collected
 * late: the collector does not count memory outside the heap.
 */
const bufferedBytes = 256 * 1024;

/**
 * Hashes etcd's stream, verifies its structure, compresses and stores it in one pass. The store makes the object
 * visible only when the source ends without an error, and the source does so only when trailer, structure and totals
 * agree. So no object holds an unverified snapshot. Throws SnapshotFailed, VerificationFailed, or the store's error.
 */
export async function transfer(options: {
  source: SnapshotSource;
  store: Pick<Store, "put">;
  object: string;
  compression: "Zstd" | "None";
  signal: AbortSignal;
  onProgress?: (readBytes: number, totalBytes: number) => void;
}): Promise<Transferred> {
  const { source, store, object, compression, signal } = options;
  const proof = verifying(source, { signal, onProgress: options.onProgress ?? (() => {}) });
  // Without compression the stored bytes are those that `verifying` hashes.
  const digest = compression === "None" ? undefined : createHash("sha256");
  const frameSizes: number[] = [];
  let stored: StoredObject | undefined;

  const sink = async (bytes: AsyncIterable<Uint8Array>): Promise<void> => {
    stored = await store.put(object, digest === undefined ? bytes : hashing(bytes, digest), {
      signal,
      contentType: contentType(compression),
    });
  };
  const file = streamed(proof.chunks);
  await (compression === "Zstd"
    ? pipeline(file, (plain) => compressFrames(plain, frameSizes), sink, { signal })
    : pipeline(file, sink, { signal })
  ).catch((error: unknown) => {
    throw proof.failure()?.error ?? (signal.aborted ? signal.reason : error);
  });
  const proved = proof.result();
  if (stored === undefined || proved === undefined)
    throw new OperatorError("Internal", "the transfer ended without a result");
  const { fileSha256, ...plain } = proved;
  const isListed = compression === "Zstd" && frameSizes.length <= maxFrames;
  const frames = isListed ? { plainBytes: framePlainBytes, storedBytes: frameSizes } : undefined;
  return {
    ...plain,
    stored: {
      ...stored,
      sha256: digest?.digest("hex") ?? fileSha256,
      ...(frames === undefined ? {} : { frames }),
    },
  };
}

/** The verified chunks as a stream for `pipeline`. */
function streamed(chunks: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(chunks, { objectMode: false, highWaterMark: bufferedBytes });
}

function contentType(compression: "Zstd" | "None"): string {
  return compression === "Zstd" ? "application/zstd" : "application/octet-stream";
}

async function* hashing(
  bytes: AsyncIterable<Uint8Array>,
  digest: { update(data: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    digest.update(chunk);
    yield chunk;
  }
}

type Proved = Omit<Transferred, "stored"> & { fileSha256: string };

/** Yields the source's bytes unchanged, and throws after the last one unless trailer, structure and totals agree. */
function verifying(
  source: SnapshotSource,
  options: { signal: AbortSignal; onProgress: (readBytes: number, totalBytes: number) => void },
) {
  const { signal, onProgress } = options;
  const trailer = createTrailerCheck();
  const reader = createStatusReader();
  let crc = 0;
  let read = 0;
  let proved: Proved | undefined;

  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source.chunks) {
      for (const part of trailer.push(chunk)) reader.push(part);
      crc = crc32c(chunk, crc);
      read += chunk.length;
      onProgress(Math.min(read, source.totalBytes), source.totalBytes);
      yield chunk;
    }
    const { sha256, fileSha256, dbBytes, trailer: verdict } = trailer.finish();
    if (verdict !== "valid") throw mismatch(`the SHA-256 trailer is ${verdict}`);
    if (dbBytes !== source.totalBytes)
      throw mismatch(`the member announced ${source.totalBytes} bytes and sent ${dbBytes}`);
    proved = { status: soundStatus(await reader.finish(signal)), sha256, fileSha256, crc32c: hex8(crc) };
  }
  return { ...withOwnFailure(chunks()), result: () => proved };
}

/** The status of a reading without violations; throws VerificationFailed with the first ones otherwise. */
function soundStatus(reading: SnapshotReading): SnapshotStatus {
  const { status, violations, violationCount } = reading;
  if (status !== undefined && violationCount === 0) return status;
  const first = violations.slice(0, 3).map((v) => (v.page < 0 ? v.message : `page ${v.page}: ${v.message}`));
  const more = violationCount > first.length ? ` and ${violationCount - first.length} more` : "";
  throw mismatch(`the database is damaged: ${first.join("; ") || "it cannot be read"}${more}`);
}

function mismatch(message: string): OperatorError {
  return new OperatorError("VerificationFailed", `snapshot: ${message}`, {
    permanent: false,
    hint: "compare the members with `etcd-backup members` and etcdctl endpoint hashkv; another member may be sound",
  });
}
