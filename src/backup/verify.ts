import { createHash } from "node:crypto";
import { crc32c } from "@node-rs/crc32";
import { asOperatorError, OperatorError } from "../core/errors.ts";
import { hex8 } from "../core/hex.ts";
import { type SnapshotFileReading, readSnapshot } from "../snapshot/read.ts";
import type { Store } from "../store/store.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { type WithOwnFailure, withOwnFailure } from "./own-failure.ts";
import { type StoredBytesOptions, storedBytes } from "./stored-bytes.ts";
import { unpack } from "./unpack.ts";

/**
 * Bytes that an object may unpack to beyond the size in its manifest. A crafted zstd frame could unpack to any size.
 */
const unpackSlack = 32 * 1024 * 1024;

/** One check of a verification, as tables and `-o json` show it. */
export interface Check {
  check: string;
  ok: boolean;
  detail: string;
}

interface StoredVerification {
  checks: Check[];
  reading: SnapshotFileReading | undefined;
}

interface VerifyOptions extends StoredBytesOptions {
  onProgress?: (readBytes: number, totalBytes: number) => void;
  /** Called with the plain file's bytes in order, before they are verified. */
  write?: (chunk: Uint8Array) => Promise<void>;
}

/**
 * Reads a backup's data object once and compares it with its manifest: the stored bytes, the plain bytes, etcd's
 * trailer, the page structure and the status. Damage is a failed check. A read that breaks goes on where it broke; every
 * byte is hashed once. Throws only an error of the store or of `write`, or the signal's reason.
 */
export async function verifyStored(
  store: Pick<Store, "get">,
  manifest: Manifest,
  options: VerifyOptions,
): Promise<StoredVerification> {
  const { signal } = options;
  const { stored } = manifest;
  const source = readStored(store, manifest, options);
  const plain = readPlain(manifest, options);
  const unpacked: Check = { check: "unpack", ok: true, detail: stored.compression };
  let reading: SnapshotFileReading | undefined;
  try {
    reading = await unpack(source.chunks, stored.compression, signal, async (bytes) =>
      readSnapshot(plain.bytes(bytes), { signal }),
    );
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const failure = source.failure() ?? plain.failure();
    if (failure !== undefined) throw failure.error;
    unpacked.ok = false;
    unpacked.detail = asOperatorError(error).message;
  }
  const checks = [...source.checks(), unpacked];
  if (reading === undefined) return { checks, reading };
  return { checks: [...checks, ...plainChecks(reading), ...plain.checks(reading)], reading };
}

/** An error of the store or of `write`. It does not mean that the backup is damaged. */
type Failure = { error: unknown } | undefined;

/** The bytes of the data object, counted and hashed on the way. */
function readStored(
  store: Pick<Store, "get">,
  { stored }: Manifest,
  { onProgress, ...options }: VerifyOptions,
): WithOwnFailure & { checks(): Check[] } {
  const digest = createHash("sha256");
  let count = 0;
  let crc = 0;
  let isWhole = false;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const chunk of storedBytes(store, stored.object, { offset: 0 }, options)) {
      digest.update(chunk);
      crc = crc32c(chunk, crc);
      count += chunk.length;
      onProgress?.(count, stored.bytes);
      yield chunk;
    }
    isWhole = true;
  }
  return {
    // A decompressor that fails means damage, not a failure of the store.
    ...withOwnFailure(bytes()),
    // The digests of an object that was not read to its end are not comparable.
    checks: () =>
      isWhole
        ? [
            compare("stored size", stored.bytes, count),
            compare("stored SHA-256", stored.sha256, digest.digest("hex")),
            compare("stored CRC-32C", stored.crc32c, hex8(crc)),
          ]
        : [],
  };
}

/** The bytes of the plain snapshot, bounded, hashed and written on the way. */
function readPlain(
  { snapshot }: Manifest,
  { write }: VerifyOptions,
): {
  bytes(unpacked: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
  failure(): Failure;
  checks(reading: SnapshotFileReading): Check[];
} {
  const maxBytes = snapshot.totalSizeBytes + unpackSlack;
  let count = 0;
  let crc = 0;
  let failure: Failure;
  return {
    async *bytes(unpacked) {
      for await (const chunk of unpacked) {
        count += chunk.length;
        if (count > maxBytes) throw new OperatorError("VerificationFailed", tooLong(maxBytes));
        crc = crc32c(chunk, crc);
        await write?.(chunk).catch((error: unknown) => {
          failure = { error };
          throw error;
        });
        yield chunk;
      }
    },
    failure: () => failure,
    checks({ sha256, status }) {
      const digests = [
        compare("plain SHA-256", snapshot.sha256, sha256),
        compare("plain CRC-32C", snapshot.crc32c, hex8(crc)),
      ];
      if (status === undefined) return digests;
      return [
        ...digests,
        compare("status hash", snapshot.hash, hex8(status.hash)),
        compare("revision", snapshot.revision, status.revision),
        compare("total keys", snapshot.totalKeys, status.totalKeys),
        compare("total size", snapshot.totalSizeBytes, status.totalSize),
      ];
    },
  };
}

function tooLong(maxBytes: number): string {
  return `the object unpacks to more than ${maxBytes} bytes, far beyond the size in the manifest`;
}

/** The checks of a plain snapshot file that need no manifest. */
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

function compare(check: string, expected: string | number, actual: string | number): Check {
  const ok = expected === actual;
  return {
    check,
    ok,
    detail: ok ? String(expected) : `the manifest says ${expected}, the object has ${actual}`,
  };
}
