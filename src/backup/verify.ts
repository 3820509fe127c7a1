import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import { crc32c } from "@node-rs/crc32";
import { asOperatorError, OperatorError } from "../core/errors.ts";
import type { Store } from "../store/store.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { type SnapshotFileReading, readSnapshot } from "../snapshot/read.ts";
import { hex8 } from "./transfer.ts";

/** What an object may unpack to beyond its manifest's size: more is a frame made to fill disks and time. */
const unpackSlack = 32 * 1024 * 1024;

/** One thing that was compared, for people and for `-o json`. */
export interface Check {
  check: string;
  ok: boolean;
  detail: string;
}

export interface StoredReading {
  checks: Check[];
  reading: SnapshotFileReading | undefined;
}

/**
 * Reads a backup's data object whole, once, and compares everything with its manifest: the stored bytes, the plain
 * bytes, etcd's trailer, the page structure and the status. Damage becomes a failed check; throws only what the
 * store or `write` threw, or the signal's reason. `write` gets the plain file's bytes in order, before they are known to be right.
 */
export async function readStored(
  store: Pick<Store, "get">,
  manifest: Manifest,
  options: {
    signal: AbortSignal;
    onProgress?: (readBytes: number, totalBytes: number) => void;
    write?: (chunk: Uint8Array) => Promise<void>;
  },
): Promise<StoredReading> {
  const { signal, onProgress, write } = options;
  const { stored, snapshot } = manifest;
  const digest = createHash("sha256");
  const found = { bytes: 0, crc: 0, plainCrc: 0, whole: false };
  /** What the store or `write` threw: the backup may be sound all the same. */
  let failure: unknown;
  let handedOver = false;

  async function* storedBytes(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of store.get(stored.object, { signal })) {
        digest.update(chunk);
        found.crc = crc32c(chunk, found.crc);
        found.bytes += chunk.length;
        onProgress?.(found.bytes, stored.bytes);
        handedOver = true;
        yield chunk;
        handedOver = false;
      }
      found.whole = true;
    } catch (error) {
      // Unpacking that fails throws into the yield: that is damage, no failure of the store.
      if (!handedOver) failure = error;
      throw error;
    }
  }
  async function* plain(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const most = snapshot.totalSizeBytes + unpackSlack;
    let unpacked = 0;
    for await (const chunk of bytes) {
      unpacked += chunk.length;
      if (unpacked > most) throw new OperatorError("VerificationFailed", tooLong(most));
      found.plainCrc = crc32c(chunk, found.plainCrc);
      await write?.(chunk).catch((error: unknown) => {
        failure = error;
        throw error;
      });
      yield chunk;
    }
  }

  let reading: SnapshotFileReading | undefined;
  const unpacked: Check = { check: "unpack", ok: true, detail: stored.compression };
  try {
    reading = await unpack(storedBytes(), stored.compression, signal, async (bytes) =>
      readSnapshot(plain(bytes), { signal }),
    );
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (failure !== undefined) throw failure;
    unpacked.ok = false;
    unpacked.detail = asOperatorError(error).message;
  }
  const checks = [
    // Of an object that was not read to its end there is nothing to compare.
    ...(found.whole
      ? [
          compare("stored size", stored.bytes, found.bytes),
          compare("stored SHA-256", stored.sha256, digest.digest("hex")),
          compare("stored CRC-32C", stored.crc32c, hex8(found.crc)),
        ]
      : []),
    unpacked,
  ];
  if (reading === undefined) return { checks, reading };
  checks.push(
    ...plainChecks(reading),
    compare("plain SHA-256", snapshot.sha256, reading.sha256),
    compare("plain CRC-32C", snapshot.crc32c, hex8(found.plainCrc)),
  );
  const { status } = reading;
  if (status !== undefined) {
    checks.push(
      compare("status hash", snapshot.hash, hex8(status.hash)),
      compare("revision", snapshot.revision, status.revision),
      compare("total keys", snapshot.totalKeys, status.totalKeys),
      compare("total size", snapshot.totalSizeBytes, status.totalSize),
    );
  }
  return { checks, reading };
}

function tooLong(most: number): string {
  return `it unpacks to more than ${most} bytes, far beyond the size in the manifest`;
}

/** What a plain snapshot file proves of itself. */
export function plainChecks(reading: SnapshotFileReading): Check[] {
  const { violations, violationCount, trailer } = reading;
  const shown = violations.slice(0, 5).map((v) => (v.page < 0 ? v.message : `page ${v.page}: ${v.message}`));
  const more = violationCount > shown.length ? `; ${violationCount - shown.length} more` : "";
  return [
    { check: "SHA-256 trailer", ok: trailer === "valid", detail: trailer },
    {
      check: "page structure",
      ok: violationCount === 0,
      detail: violationCount === 0 ? "sound" : `${shown.join("; ")}${more}`,
    },
  ];
}

/** The failed checks as one clause, or undefined when there is none. */
export function describeFailures(checks: readonly Check[]): string | undefined {
  const failed = checks.filter((c) => !c.ok);
  return failed.length === 0 ? undefined : failed.map((c) => `${c.check}: ${c.detail}`).join("; ");
}

/** Runs `read` over the unpacked bytes; a reader that throws ends the source, too. */
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
  if (compression === "Zstd")
    await pipeline(source, createZstdDecompress({ chunkSize: 1024 * 1024 }), sink, { signal });
  else await pipeline(source, sink, { signal });
  if (result === undefined) throw new Error("the stream ended without a result");
  return result.value;
}

function compare(check: string, expected: string | number, found: string | number): Check {
  const ok = expected === found;
  return { check, ok, detail: ok ? String(expected) : `the manifest says ${expected}, the object ${found}` };
}
