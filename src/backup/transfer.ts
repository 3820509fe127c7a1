import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type ZstdCompress, constants, createZstdCompress } from "node:zlib";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../core/errors.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { type SnapshotReading, type SnapshotStatus, createStatusReader } from "../snapshot/status.ts";
import { createTrailerCheck } from "../snapshot/trailer.ts";

/** Where a snapshot comes from: the announced size of the database, and database ‖ 32-byte trailer in order. */
export interface SnapshotSource {
  readonly totalBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface Transferred {
  status: SnapshotStatus;
  /** Hex SHA-256 of the database, equal to etcd's trailer. */
  sha256: string;
  /** Of the plain file, trailer included; 8 hex digits. */
  crc32c: string;
  stored: StoredObject & { sha256: string };
}

/**
 * Before the compressor and behind it. Buffers that wait grow old: then only a full collection frees them, and those
 * come late, for the collector does not see what buffers weigh.
 */
const waitingBytes = 256 * 1024;

/**
 * One pass: etcd's stream is hashed, read as a database, compressed and stored at once. The store makes the object
 * visible only when the source has ended well, and the source ends well only when trailer, structure and totals
 * agree: so no object ever holds an unverified snapshot. Throws SnapshotFailed, VerificationFailed, or what the store threw.
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
  const proof = proving(source, options.onProgress ?? (() => {}));
  // Stored as it is, the file is what the proof hashes anyway.
  const digest = compression === "None" ? undefined : createHash("sha256");
  let stored: StoredObject | undefined;

  const sink = async (bytes: AsyncIterable<Uint8Array>): Promise<void> => {
    stored = await store.put(object, digest === undefined ? bytes : hashing(bytes, digest), {
      signal,
      contentType: contentType(compression),
    });
  };
  const file = streamed(proof.chunks);
  await (compression === "Zstd"
    ? pipeline(file, createCompressor(), sink, { signal })
    : pipeline(file, sink, { signal })
  ).catch((error: unknown) => {
    throw proof.failure() ?? (signal.aborted ? signal.reason : error);
  });
  const proved = proof.result();
  if (stored === undefined || proved === undefined)
    throw new OperatorError("Internal", "the transfer ended without a result");
  const { fileSha256, ...plain } = proved;
  return { ...plain, stored: { ...stored, sha256: digest?.digest("hex") ?? fileSha256 } };
}

/** The file on its way out of the proof. */
export function streamed(chunks: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(chunks, { objectMode: false, highWaterMark: waitingBytes });
}

/** Level 1: 750 MB/s, and half the size for typical Kubernetes data. Workers stay off: Node's stream loses data with them. */
export function createCompressor(): ZstdCompress {
  return createZstdCompress({
    chunkSize: waitingBytes,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  });
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

/** Passes the bytes on as they come, reads them on the way, and throws at the end unless everything agrees. */
function proving(source: SnapshotSource, onProgress: (readBytes: number, totalBytes: number) => void) {
  const trailer = createTrailerCheck();
  const reader = createStatusReader();
  let crc = 0;
  let read = 0;
  let proved: Proved | undefined;
  let failure: unknown;
  let handedOver = false;

  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of source.chunks) {
        for (const part of trailer.push(chunk)) reader.push(part);
        crc = crc32c(chunk, crc);
        read += chunk.length;
        onProgress(Math.min(read, source.totalBytes), source.totalBytes);
        handedOver = true;
        yield chunk;
        handedOver = false;
      }
      const { sha256, fileSha256, dbBytes, trailer: verdict } = trailer.finish();
      if (verdict !== "valid") throw disagree(`the SHA-256 trailer is ${verdict}`);
      if (dbBytes !== source.totalBytes)
        throw disagree(`${dbBytes} bytes came of ${source.totalBytes} announced`);
      proved = { status: soundStatus(reader.finish()), sha256, fileSha256, crc32c: hex8(crc) };
    } catch (error) {
      // A stage behind that fails throws into the yield: that is its failure, not ours.
      if (!handedOver) failure = error;
      throw error;
    }
  }
  return { chunks: chunks(), result: () => proved, failure: () => failure };
}

/** The status of a reading without violations; throws VerificationFailed with the first ones otherwise. */
export function soundStatus(reading: SnapshotReading): SnapshotStatus {
  const { status, violations, violationCount } = reading;
  if (status !== undefined && violationCount === 0) return status;
  const first = violations.slice(0, 3).map((v) => (v.page < 0 ? v.message : `page ${v.page}: ${v.message}`));
  const more = violationCount > first.length ? ` and ${violationCount - first.length} more` : "";
  throw disagree(`the database is damaged: ${first.join("; ") || "it cannot be read"}${more}`);
}

function disagree(message: string): OperatorError {
  return new OperatorError("VerificationFailed", `snapshot: ${message}`, {
    permanent: false,
    hint: "compare the members with `etcd-backup members` and etcdctl endpoint hashkv; another member may be sound",
  });
}

/** A CRC as 8 hex digits. */
export function hex8(crc: number): string {
  return (crc >>> 0).toString(16).padStart(8, "0");
}
